// Command bench-load puts one kind of load on an etcd API with the client that kube-apiserver uses, for a while, and prints
// what it measured as one line of JSON. inttest/bench/kine.ts runs it against one server after the other.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// options are the flags; not every kind of load uses all of them.
type options struct {
	endpoint string
	// watchEndpoint is where watches are opened, if not at endpoint.
	watchEndpoint string
	clients       int
	conns         int
	duration      time.Duration
	valueSize     int
	prefix        string
	keys          int
	watchers      int
	rate          int
}

// loads are the kinds of load by name.
var loads = map[string]func(context.Context, *options) (any, error){
	"put":      runPuts,
	"mix":      runMix,
	"fill":     runFill,
	"get":      runGets,
	"probe":    runProbes,
	"list":     runLists,
	"watch":    runWatch,
	"sessions": runSessions,
	"stall":    runStall,
	"rate":     runRate,
	"biglist":  runBigLists,
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-load:", err)
		os.Exit(1)
	}
}

func run() error {
	var o options
	flag.StringVar(&o.endpoint, "endpoint", "127.0.0.1:2379", "server, host:port or unix:///path")
	flag.StringVar(&o.watchEndpoint, "watch-endpoint", "", "another server of the same store, for the watches")
	flag.IntVar(&o.clients, "clients", 1, "requests under way at once")
	flag.IntVar(&o.conns, "conns", 0, "connections they share; 0: one each")
	flag.DurationVar(&o.duration, "duration", 5*time.Second, "how long to measure")
	flag.IntVar(&o.valueSize, "value-size", 512, "bytes of a value")
	flag.StringVar(&o.prefix, "prefix", "/registry/bench/", "keys begin with this")
	flag.IntVar(&o.keys, "keys", 100_000, "keys below the prefix: to be made, or known to be there")
	flag.IntVar(&o.watchers, "watchers", 1, "watches of the prefix")
	flag.IntVar(&o.rate, "rate", 100, "writes per second")
	if len(os.Args) < 2 || loads[os.Args[1]] == nil {
		return fmt.Errorf("usage: bench-load put|mix|fill|get|probe|list|watch|sessions|stall|rate|biglist [flags]")
	}
	if err := flag.CommandLine.Parse(os.Args[2:]); err != nil {
		return err
	}
	if o.conns == 0 {
		o.conns = o.clients
	}
	result, err := loads[os.Args[1]](context.Background(), &o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// answerTimeout is the longest that a server may take to start, or to answer.
const answerTimeout = 30 * time.Second

// dial opens n connections and waits until each answers.
func dial(ctx context.Context, o *options, n int) ([]*clientv3.Client, error) {
	clients := make([]*clientv3.Client, n)
	for i := range clients {
		client, err := clientv3.New(clientv3.Config{
			Endpoints:            []string{o.endpoint},
			DialTimeout:          answerTimeout,
			DialKeepAliveTime:    30 * time.Second,
			DialKeepAliveTimeout: 10 * time.Second,
			Logger:               zap.NewNop(), // it tells of retries while a server starts
		})
		if err != nil {
			return nil, fmt.Errorf("cannot connect to %s: %w", o.endpoint, err)
		}
		clients[i] = client
		if err := answers(ctx, client); err != nil {
			return nil, fmt.Errorf("%s does not answer: %w", o.endpoint, err)
		}
	}
	return clients, nil
}

// answers waits until the server takes requests; one that starts may refuse them at first.
func answers(ctx context.Context, client *clientv3.Client) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	for {
		_, err := client.Get(ctx, "/registry/health")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func closeAll(clients []*clientv3.Client) {
	for _, client := range clients {
		_ = client.Close()
	}
}
