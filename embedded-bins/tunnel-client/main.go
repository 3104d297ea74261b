// Command tunnel-client uses a Konnectivity server the way kube-apiserver does, with upstream's own client for gRPC, and
// serves the endpoints that it dials through the tunnel. Each subcommand prints what it saw as one line of JSON.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"
)

// commands by name; each registers its flags, and runs after they were parsed.
var commands = map[string]func(*flag.FlagSet) func() (any, error){
	"certificates": certificatesCommand,
	"endpoint":     endpointCommand,
	"transfer":     transferCommand,
	"requests":     requestsCommand,
	"dials":        dialsCommand,
	"hold":         holdCommand,
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "tunnel-client:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || commands[args[0]] == nil {
		return fmt.Errorf("usage: tunnel-client certificates|endpoint|transfer|requests|dials|hold [flags]")
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	command := commands[args[0]](flags)
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	result, err := command()
	if err != nil || result == nil {
		return err
	}
	return report(result)
}

// report prints one line of JSON at once.
func report(value any) error {
	return json.NewEncoder(os.Stdout).Encode(value)
}

// event is something that happened, with the machine's time so that a test can compare it with what it did itself.
type event struct {
	Event string `json:"event"`
	AtMs  int64  `json:"atMs"`
	Bytes int64  `json:"bytes,omitempty"`
	Error string `json:"error,omitempty"`
}

func happened(name string, bytes int64, err error) event {
	e := event{Event: name, AtMs: time.Now().UnixMilli(), Bytes: bytes}
	if err != nil {
		e.Error = err.Error()
	}
	return e
}
