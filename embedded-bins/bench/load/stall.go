package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// runStall opens a watch that is never read, then updates the filled keys at a fixed rate for the duration, and compacts as
// kube-apiserver does. In the end it reads the watch: everything must come, in order, or the compaction must be told.
func runStall(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, 3)
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
	stopCompaction := compactEvery(ctx, conns[2], o)
	result, err := updateAtRate(ctx, conns[1], o)
	stopCompaction()
	if err != nil {
		return nil, err
	}
	result.Outcome, err = drain(stream, created.Header.Revision, result.lastRevision)
	return result, err
}

type stalled struct {
	figures
	Written int    `json:"written"`
	Outcome string `json:"outcome"`

	lastRevision int64
}

func updateAtRate(ctx context.Context, client *clientv3.Client, o *options) (stalled, error) {
	value := randomValue(o.valueSize)
	count := int(o.duration.Seconds() * float64(o.rate))
	began := time.Now()
	type outcome struct {
		took     time.Duration
		revision int64
		err      error
	}
	outcomes := make(chan outcome, writersAtRate)
	starts := make(chan time.Time, writersAtRate)
	for range writersAtRate {
		go func() {
			for range starts {
				at := time.Now()
				response, err := client.Put(ctx, keyName(o, rand.IntN(o.keys)), value)
				if err != nil {
					outcomes <- outcome{err: err}
					continue
				}
				outcomes <- outcome{took: time.Since(at), revision: response.Header.Revision}
			}
		}()
	}
	go func() {
		defer close(starts)
		for i := range count {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(o.rate))))
			starts <- time.Now()
		}
	}()
	var latencies []time.Duration
	result := stalled{Written: count}
	for range count {
		one := <-outcomes
		if one.err != nil {
			return result, one.err
		}
		latencies = append(latencies, one.took)
		result.lastRevision = max(result.lastRevision, one.revision)
	}
	result.figures = summarize(latencies)
	result.PerSecond = float64(count) / time.Since(began).Seconds()
	return result, nil
}

// compactEvery compacts to the revision of the round before, every fifth of the run; kube-apiserver does every 5 minutes.
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
		if err == io.EOF || err != nil {
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
