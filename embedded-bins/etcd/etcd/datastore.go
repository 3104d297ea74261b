package main

import (
	"errors"
	"flag"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"go.uber.org/zap"
)

// options of both directions.
type options struct {
	dataDir   string
	endpoints string
	caFile    string
	certFile  string
	keyFile   string
	workDir   string
	file      string
	name      string
	peerURL   string
}

// datastore runs one of
//
//	prepare  finds the database file of a store, and keeps it from being written until standard input ends
//	dump     writes the changes in a database file to standard output
//	revision prints the revision of a running member
//	load     writes changes from standard input to a new data directory
func datastore(args []string) error {
	syscall.Umask(0o077)
	// A key press reaches the whole process group; whoever started this ends it in order.
	signal.Ignore(os.Interrupt)
	if len(args) == 0 {
		return errors.New("want prepare, dump, revision or load")
	}
	var o options
	flags := flag.NewFlagSet("k0s-datastore "+args[0], flag.ContinueOnError)
	flags.StringVar(&o.dataDir, "data-dir", "", "data directory of a member")
	flags.StringVar(&o.endpoints, "endpoint", "", "client URL of a running member, instead of a data directory")
	flags.StringVar(&o.caFile, "cacert", "", "authority of the server's certificate")
	flags.StringVar(&o.certFile, "cert", "", "client certificate")
	flags.StringVar(&o.keyFile, "key", "", "key of the client certificate")
	flags.StringVar(&o.workDir, "work-dir", os.TempDir(), "where copies are put")
	flags.StringVar(&o.file, "file", "", "dump: what prepare found")
	flags.StringVar(&o.name, "name", "", "load: name of the member")
	flags.StringVar(&o.peerURL, "peer-url", "", "load: URL of the member for other members")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "prepare":
		return prepare(o)
	case "dump":
		return dump(o)
	case "revision":
		return printRevision(o)
	case "load":
		return load(o)
	default:
		return errors.New("want prepare, dump, revision or load, not " + args[0])
	}
}

// logger keeps etcd's packages quiet unless something fails.
func logger() *zap.Logger {
	config := zap.NewProductionConfig()
	config.Level = zap.NewAtomicLevelAt(zap.ErrorLevel)
	config.DisableStacktrace = true
	lg, err := config.Build()
	if err != nil {
		return zap.NewNop()
	}
	return lg
}

func splitURLs(text string) []string {
	return strings.Split(text, ",")
}
