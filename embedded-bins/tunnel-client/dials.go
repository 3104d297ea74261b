package main

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// dialsCommand opens connections one after another, sends and receives a byte on each, and closes them; with --abort
// it gives up dials after a random time, so that the end of a dial meets its answer.
func dialsCommand(flags *flag.FlagSet) func() (any, error) {
	d := dialerFlags(flags)
	count := flags.Int("count", 100, "dials")
	duration := flags.Duration("duration", 0, "dial for so long instead of --count times")
	parallel := flags.Int("parallel", 1, "dials under way at once")
	abort := flags.Bool("abort", false, "give up each dial after a random time, up to twice what a dial takes now")
	return func() (any, error) {
		if err := d.prepare(); err != nil {
			return nil, err
		}
		limit, err := d.dialTime(*abort, *parallel)
		if err != nil {
			return nil, err
		}
		result := &dialsResult{Errors: map[string]int{}}
		began := time.Now()
		work := make(chan struct{})
		var dialing sync.WaitGroup
		for range *parallel {
			dialing.Go(func() {
				for range work {
					at := time.Now()
					result.note(time.Since(began), at, d.once(2*limit))
				}
			})
		}
		for i := 0; (*duration == 0 && i < *count) || (*duration > 0 && time.Since(began) < *duration); i++ {
			work <- struct{}{}
		}
		close(work)
		dialing.Wait()
		slices.Sort(result.delays)
		if n := len(result.delays); n > 0 {
			result.P99Ms = float64(result.delays[n*99/100].Microseconds()) / 1000
			result.MaxMs = float64(result.delays[n-1].Microseconds()) / 1000
		}
		return result, nil
	}
}

type dialsResult struct {
	Succeeded int            `json:"succeeded"`
	Failed    int            `json:"failed"`
	Errors    map[string]int `json:"errors"`
	P99Ms     float64        `json:"p99Ms"`
	MaxMs     float64        `json:"maxMs"`
	// FailedMs are the times of failures after the start.
	FailedMs []int64 `json:"failedMs,omitempty"`

	mutex  sync.Mutex
	delays []time.Duration
}

func (r *dialsResult) note(after time.Duration, began time.Time, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.delays = append(r.delays, time.Since(began))
	if err == nil {
		r.Succeeded++
		return
	}
	r.Failed++
	r.Errors[err.Error()]++
	r.FailedMs = append(r.FailedMs, after.Milliseconds())
}

// dialTime is how long a dial takes with others beside it; 0 unless it is asked for.
func (d *dialer) dialTime(asked bool, parallel int) (time.Duration, error) {
	if !asked {
		return 0, nil
	}
	failures := make(chan error, parallel)
	began := time.Now()
	for range parallel {
		go func() { failures <- d.once(0) }()
	}
	var failed error
	for range parallel {
		failed = errors.Join(failed, <-failures)
	}
	return time.Since(began), failed
}

// once is one dial with one byte each way.
func (d *dialer) once(abort time.Duration) error {
	ctx := context.Background()
	if abort > 0 {
		limited, cancel := context.WithTimeout(ctx, rand.N(abort))
		defer cancel()
		ctx = limited
	}
	conn, err := d.open(ctx, "echo")
	if err != nil {
		return err
	}
	failed := ask(conn)
	return errors.Join(failed, closed(conn))
}

func ask(conn io.ReadWriter) error {
	if _, err := conn.Write([]byte{42}); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 1))
	return err
}
