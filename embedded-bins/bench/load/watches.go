package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// watchesPerConn: kube-apiserver has a connection for each resource, and all watches of a resource share it.
const watchesPerConn = 20

// fanOut is what a run of runWatch measured.
type fanOut struct {
	figures
	Written   int `json:"written"`
	Delivered int `json:"delivered"`
	Expected  int `json:"expected"`
}

// runWatch writes at a fixed rate below many watches and measures from before each write to each event.
func runWatch(ctx context.Context, o *options) (any, error) {
	writer, err := dial(ctx, o, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(writer)
	watched := *o
	if o.watchEndpoint != "" {
		watched.endpoint = o.watchEndpoint
	}
	conns, err := dial(ctx, &watched, (o.watchers+watchesPerConn-1)/watchesPerConn)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	prefix := fmt.Sprintf("%swatch/%x/", o.prefix, time.Now().UnixNano())
	watchContext, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	written := int(o.duration.Seconds() * float64(o.rate))
	latencies := make([][]time.Duration, o.watchers)
	var watching sync.WaitGroup
	for i := range o.watchers {
		watch := conns[i/watchesPerConn].Watch(watchContext, prefix,
			clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
		if created := <-watch; created.Err() != nil {
			return nil, created.Err()
		}
		watching.Go(func() { latencies[i] = receive(watch, written) })
	}
	if err := writeAtRate(ctx, o, writer[0], prefix, written); err != nil {
		return nil, err
	}
	// What has not come a while after the last write does not come.
	late := time.AfterFunc(10*time.Second, stop)
	watching.Wait()
	late.Stop()
	var all []time.Duration
	for _, some := range latencies {
		all = append(all, some...)
	}
	return fanOut{summarize(all), written, len(all), written * o.watchers}, nil
}

// receive returns the ages of the events as they come, at most n.
func receive(watch clientv3.WatchChan, n int) []time.Duration {
	ages := make([]time.Duration, 0, n)
	for response := range watch {
		now := time.Now()
		for _, event := range response.Events {
			ages = append(ages, ageOf(event, now))
		}
		if len(ages) >= n {
			break
		}
	}
	return ages
}

// writersAtRate bounds the writes under way at a time, so that one slow commit does not delay the next writes.
const writersAtRate = 64

// writeAtRate writes a few keys over and over; each value begins with the time of its writing.
func writeAtRate(ctx context.Context, o *options, client *clientv3.Client, prefix string, count int) error {
	tick := time.NewTicker(time.Second / time.Duration(o.rate))
	defer tick.Stop()
	slots := make(chan struct{}, writersAtRate)
	var group sync.WaitGroup
	var once sync.Once
	var failure error
	for i := range count {
		<-tick.C
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			value := make([]byte, max(8, o.valueSize))
			binary.BigEndian.PutUint64(value, uint64(time.Now().UnixNano()))
			// A key of its own each: upstream kine takes three steps for a Put of a key that is there.
			if _, err := client.Put(ctx, fmt.Sprintf("%s%07d", prefix, i), string(value)); err != nil {
				once.Do(func() { failure = err })
			}
		})
	}
	group.Wait()
	return failure
}

// runSessions keeps idle clients with a watch each, as an idle kube-apiserver does, until standard input ends.
func runSessions(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, o.clients)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	for i, conn := range conns {
		watch := conn.Watch(clientv3.WithRequireLeader(ctx), fmt.Sprintf("%sresource-%03d/", o.prefix, i),
			clientv3.WithPrefix(), clientv3.WithPrevKV(), clientv3.WithProgressNotify(), clientv3.WithCreatedNotify())
		if created := <-watch; created.Err() != nil {
			return nil, created.Err()
		}
		go func() {
			for range watch { //nolint:revive // progress is all that comes
			}
		}()
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err == nil {
		return nil, errors.New("standard input is only to be closed")
	}
	return map[string]int{"sessions": len(conns)}, nil
}
