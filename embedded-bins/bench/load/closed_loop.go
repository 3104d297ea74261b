package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// figures are what a closed loop measured; latencies in milliseconds.
type figures struct {
	PerSecond float64 `json:"perSecond"`
	P50       float64 `json:"p50"`
	P99       float64 `json:"p99"`
	Max       float64 `json:"max"`
	Count     int     `json:"count"`
}

// warmUp is not measured: connections, code and caches settle.
const warmUp = time.Second

// worker does one operation at a time with a client of its own or a shared one.
type worker func(ctx context.Context, client *clientv3.Client, id, round int) error

// closedLoop lets every client do one operation after the other until the duration is over.
func closedLoop(ctx context.Context, o *options, work worker) (figures, error) {
	conns, err := dial(ctx, o, o.conns)
	if err != nil {
		return figures{}, err
	}
	defer closeAll(conns)
	from := time.Now().Add(warmUp)
	until := from.Add(o.duration)
	latencies := make([][]time.Duration, o.clients)
	failures := make([]error, o.clients)
	var group sync.WaitGroup
	for id := range o.clients {
		group.Go(func() {
			for round := 0; ; round++ {
				began := time.Now()
				if began.After(until) {
					return
				}
				timed, cancel := context.WithTimeout(ctx, answerTimeout)
				failures[id] = work(timed, conns[id%len(conns)], id, round)
				cancel()
				if failures[id] != nil {
					return
				}
				if ended := time.Now(); ended.After(from) {
					latencies[id] = append(latencies[id], ended.Sub(began))
				}
			}
		})
	}
	group.Wait()
	perSecond := 0.0
	for id, failure := range failures {
		if failure != nil {
			return figures{}, fmt.Errorf("client %d: %w", id, failure)
		}
		// One after the other: also right for a server so slow that it answers a client once in a run.
		var took time.Duration
		for _, latency := range latencies[id] {
			took += latency
		}
		perSecond += float64(len(latencies[id])) / took.Seconds()
	}
	result := summarize(slices.Concat(latencies...))
	result.PerSecond = perSecond
	return result, nil
}

func summarize(latencies []time.Duration) figures {
	if len(latencies) == 0 {
		return figures{}
	}
	slices.Sort(latencies)
	at := func(quantile float64) float64 {
		return milliseconds(latencies[int(quantile*float64(len(latencies)-1))])
	}
	return figures{P50: at(0.5), P99: at(0.99), Max: at(1), Count: len(latencies)}
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Microseconds()) / 1000
}
