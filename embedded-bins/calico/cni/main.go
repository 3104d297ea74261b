// Command calico is Calico's CNI plugin. It runs once per pod and operation, so it is not linked with Felix.
package main

import "github.com/projectcalico/calico/cni-plugin/pkg/plugin"

// version is set by the linker.
var version string

func main() {
	plugin.Main(version)
}
