// Command etcd is the etcd server, and with `k0s-datastore` as its first argument what `k0s datastore migrate` reads and
// writes data directories with: etcd's own storage packages, which are linked into the server anyway.
package main

import (
	"fmt"
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	if len(os.Args) < 2 || os.Args[1] != "k0s-datastore" {
		etcdmain.Main(os.Args)
		return
	}
	if err := datastore(os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
