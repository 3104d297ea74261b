package main

import (
	"context"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// stalled is what a run of runStall measured.
type stalled struct {
	paced
	Outcome string `json:"outcome"`
	// Others are the ages of the events of a watch that reads, on a connection of its own.
	Others figures `json:"others"`
}

// runStall opens a watch that is never read, then updates the filled keys at a fixed rate for the duration, and compacts as
// kube-apiserver does. In the end it reads the watch: everything must come, in order, or the compaction must be told.
// Another watch reads all the time and must see everything.
func runStall(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, 4)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	// The bare stream: clientv3's watch would read on into memory of its own.
	stream, err := pb.NewWatchClient(conns[0].ActiveConnection()).Watch(clientv3.WithRequireLeader(ctx))
	if err != nil {
		return nil, err
	}
	end := clientv3.GetPrefixRangeEnd(o.prefix)
	request := &pb.WatchRequest{RequestUnion: &pb.WatchRequest_CreateRequest{
		CreateRequest: &pb.WatchCreateRequest{Key: []byte(o.prefix), RangeEnd: []byte(end), PrevKv: true},
	}}
	if err := stream.Send(request); err != nil {
		return nil, err
	}
	created, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	others := watchLive(ctx, conns[3], o)
	stopCompaction := compactEvery(ctx, conns[2], o)
	written, err := updateAtRate(ctx, conns[1], o)
	stopCompaction()
	if err != nil {
		return nil, err
	}
	result := stalled{paced: written}
	result.Samples = nil
	if result.Others, err = others(result.Written); err != nil {
		return nil, err
	}
	result.Outcome, err = drain(stream, created.Header.Revision, result.lastRevision)
	return result, err
}

// watchLive begins a watch that is read; the returned function waits until it has seen as many events.
func watchLive(ctx context.Context, client *clientv3.Client, o *options) func(count int) (figures, error) {
	watching, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	events := client.Watch(watching, o.prefix, clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	<-events
	ages := make(chan time.Duration, 1024)
	go func() {
		defer close(ages)
		for response := range events {
			now := time.Now()
			for _, event := range response.Events {
				ages <- ageOf(event, now)
			}
		}
	}()
	seen := make(chan []time.Duration, 1)
	wanted := make(chan int, 1)
	go func() {
		var all []time.Duration
		target := -1
		for target < 0 || len(all) < target {
			select {
			case target = <-wanted:
			case age, open := <-ages:
				if !open {
					seen <- all
					return
				}
				all = append(all, age)
			}
		}
		seen <- all
	}()
	return func(count int) (figures, error) {
		defer stop()
		wanted <- count
		select {
		case all := <-seen:
			if len(all) < count {
				return figures{}, fmt.Errorf("the watch that reads ended after %d of %d events", len(all), count)
			}
			return summarize(all), nil
		case <-time.After(answerTimeout):
			return figures{}, fmt.Errorf("the watch that reads has not seen all of %d events", count)
		}
	}
}

// compactEvery compacts to the revision of the round before, every third of the run; kube-apiserver does every 5 minutes.
func compactEvery(ctx context.Context, client *clientv3.Client, o *options) (stop func()) {
	compacting, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		var before int64
		for {
			select {
			case <-compacting.Done():
				return
			case <-time.After(min(5*time.Minute, o.duration/3)):
			}
			response, err := client.Get(compacting, "compact_rev_key")
			if err != nil {
				continue
			}
			if before > 0 {
				_, _ = client.Compact(compacting, before)
			}
			before = response.Header.Revision
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}

// drain reads the stalled watch to the last revision.
func drain(stream pb.Watch_WatchClient, from, last int64) (string, error) {
	seen := from
	for {
		response, err := stream.Recv()
		if err != nil {
			return "", fmt.Errorf("the stalled watch broke off behind revision %d: %w", seen, err)
		}
		if response.CompactRevision > 0 {
			return fmt.Sprintf("compacted at %d after revision %d", response.CompactRevision, seen), nil
		}
		for _, event := range response.Events {
			if event.Kv.ModRevision != seen+1 {
				return "", fmt.Errorf("revision %d follows %d on the stalled watch", event.Kv.ModRevision, seen)
			}
			seen = event.Kv.ModRevision
		}
		if seen >= last {
			return fmt.Sprintf("complete, %d revisions", seen-from), nil
		}
	}
}
