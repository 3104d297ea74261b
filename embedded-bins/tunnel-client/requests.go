package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// requestsCommand keeps many connections that each ask a little at an even pace, beside connections that somebody
// does not read, and tells how long the answers took.
func requestsCommand(flags *flag.FlagSet) func() (any, error) {
	r := &requests{dialer: dialerFlags(flags)}
	flags.IntVar(&r.connections, "connections", 1000, "connections that ask")
	flags.IntVar(&r.size, "size", kib, "bytes of a request, and of its answer")
	flags.DurationVar(&r.interval, "interval", time.Second, "time between the requests of a connection")
	flags.DurationVar(&r.duration, "duration", 10*time.Second, "how long to ask")
	flags.IntVar(&r.blockedReaders, "blocked-readers", 0, "connections whose endpoint writes and that this program does not read")
	flags.IntVar(&r.blockedEndpoints, "blocked-endpoints", 0, "connections that this program writes to and whose endpoint does not read")
	flags.IntVar(&r.parallel, "parallel", 16, "dials under way at once")
	return r.run
}

type requests struct {
	*dialer
	connections, size, blockedReaders, blockedEndpoints, parallel int
	interval, duration                                            time.Duration

	mutex   sync.Mutex
	delays  []time.Duration
	errors  map[string]int
	writing int64
}

type requestsResult struct {
	Requests int            `json:"requests"`
	P50Ms    float64        `json:"p50Ms"`
	P99Ms    float64        `json:"p99Ms"`
	MaxMs    float64        `json:"maxMs"`
	Errors   map[string]int `json:"errors"`
	// BlockedBytes is what the blocked endpoints were sent before the tunnel stopped taking more.
	BlockedBytes int64 `json:"blockedBytes"`
}

func (r *requests) run() (any, error) {
	if err := r.prepare(); err != nil {
		return nil, err
	}
	r.errors = map[string]int{}
	for range r.blockedReaders {
		if _, err := r.open(context.Background(), "flood"); err != nil {
			return nil, err
		}
	}
	for range r.blockedEndpoints {
		conn, err := r.open(context.Background(), "block")
		if err != nil {
			return nil, err
		}
		go r.fill(conn)
	}
	conns, err := r.dialAll()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), r.duration)
	defer cancel()
	var asking sync.WaitGroup
	for _, conn := range conns {
		asking.Go(func() { r.ask(ctx, conn) })
	}
	asking.Wait()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.result(), nil
}

// fill writes until the tunnel takes no more.
func (r *requests) fill(conn net.Conn) {
	for {
		n, err := conn.Write(pool[:64*kib])
		r.mutex.Lock()
		r.writing += int64(n)
		r.mutex.Unlock()
		if err != nil {
			return
		}
	}
}

func (r *requests) dialAll() ([]net.Conn, error) {
	conns := make([]net.Conn, r.connections)
	slots := make(chan struct{}, r.parallel)
	failures := make(chan error, r.connections)
	for i := range conns {
		slots <- struct{}{}
		go func() {
			var err error
			conns[i], err = r.open(context.Background(), "echo")
			<-slots
			failures <- err
		}()
	}
	for i := range conns {
		if err := <-failures; err != nil {
			return nil, fmt.Errorf("dial %d of %d: %w", i, len(conns), err)
		}
	}
	return conns, nil
}

// ask sends its requests at times that differ from those of the other connections.
func (r *requests) ask(ctx context.Context, conn net.Conn) {
	request, answer := make([]byte, r.size), make([]byte, r.size)
	next := time.Now().Add(rand.N(r.interval))
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(next)):
		}
		at := rand.IntN(len(pool) - r.size)
		copy(request, pool[at:])
		began := time.Now()
		_, err := conn.Write(request)
		if err == nil {
			_, err = io.ReadFull(conn, answer)
		}
		if err == nil && !bytes.Equal(request, answer) {
			err = fmt.Errorf("another answer than the request")
		}
		r.note(time.Since(began), err)
		if err != nil {
			return
		}
		next = next.Add(r.interval)
	}
}

func (r *requests) note(delay time.Duration, err error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if err != nil {
		r.errors[err.Error()]++
		return
	}
	r.delays = append(r.delays, delay)
}

func (r *requests) result() requestsResult {
	result := requestsResult{Requests: len(r.delays), Errors: r.errors, BlockedBytes: r.writing}
	if len(r.delays) == 0 {
		return result
	}
	slices.Sort(r.delays)
	ms := func(share float64) float64 {
		return float64(r.delays[int(share*float64(len(r.delays)-1))].Microseconds()) / 1000
	}
	result.P50Ms, result.P99Ms, result.MaxMs = ms(0.5), ms(0.99), ms(1)
	return result
}
