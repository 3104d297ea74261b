// Command calico-felix is Calico's node agent: it enforces NetworkPolicy on the interfaces of the node's pods.
// All its configuration comes from FELIX_* environment variables or the file named by --config-file.
package main

import (
	"flag"
	"fmt"

	"github.com/projectcalico/calico/felix/buildinfo"
	"github.com/projectcalico/calico/felix/daemon"
)

func main() {
	configFile := flag.String("config-file", "/etc/calico/felix.cfg", "configuration file; it may be absent")
	version := flag.Bool("version", false, "print the version and exit")
	flag.Parse()
	if *version {
		fmt.Println(buildinfo.GitVersion)
		return
	}
	daemon.Run(*configFile, buildinfo.GitVersion, buildinfo.GitRevision, buildinfo.BuildDate)
}
