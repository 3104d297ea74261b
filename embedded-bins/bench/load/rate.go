package main

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// paced is what a run of writes at a fixed rate measured.
type paced struct {
	figures
	Written int `json:"written"`
	// Samples are the time of each answer, of the Unix epoch, and what it took, both in milliseconds.
	Samples [][2]float64 `json:"samples,omitempty"`

	lastRevision int64
}

// runRate updates the filled keys at a fixed rate; who compares it with what happened meanwhile wants every sample.
func runRate(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	return updateAtRate(ctx, conns[0], o)
}

// updateAtRate puts random ones of the filled keys; each value begins with the time of its writing.
func updateAtRate(ctx context.Context, client *clientv3.Client, o *options) (paced, error) {
	padding := randomValue(max(8, o.valueSize))
	count := int(o.duration.Seconds() * float64(o.rate))
	began := time.Now()
	type outcome struct {
		answered time.Time
		took     time.Duration
		revision int64
		err      error
	}
	outcomes := make(chan outcome, writersAtRate)
	starts := make(chan struct{}, writersAtRate)
	for range writersAtRate {
		go func() {
			for range starts {
				at := time.Now()
				value := []byte(padding)
				binary.BigEndian.PutUint64(value, uint64(at.UnixNano()))
				response, err := client.Put(ctx, keyName(o, rand.IntN(o.keys)), string(value))
				if err != nil {
					outcomes <- outcome{err: err}
					continue
				}
				answered := time.Now()
				outcomes <- outcome{answered: answered, took: answered.Sub(at), revision: response.Header.Revision}
			}
		}()
	}
	go func() {
		defer close(starts)
		for i := range count {
			time.Sleep(time.Until(began.Add(time.Duration(i) * time.Second / time.Duration(o.rate))))
			starts <- struct{}{}
		}
	}()
	latencies := make([]time.Duration, 0, count)
	result := paced{Written: count, Samples: make([][2]float64, 0, count)}
	for range count {
		one := <-outcomes
		if one.err != nil {
			return result, one.err
		}
		latencies = append(latencies, one.took)
		answered := float64(one.answered.UnixMicro()) / 1000
		result.Samples = append(result.Samples, [2]float64{answered, milliseconds(one.took)})
		result.lastRevision = max(result.lastRevision, one.revision)
	}
	result.figures = summarize(latencies)
	result.PerSecond = float64(count) / time.Since(began).Seconds()
	return result, nil
}

// ageOf is the time since the value of an event was written, by the clock of this machine.
func ageOf(event *clientv3.Event, now time.Time) time.Duration {
	return now.Sub(time.Unix(0, int64(binary.BigEndian.Uint64(event.Kv.Value))))
}
