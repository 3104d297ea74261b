package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"time"
)

// transferCommand moves bytes both ways at once over some connections and compares the hashes of both ends.
func transferCommand(flags *flag.FlagSet) func() (any, error) {
	d := dialerFlags(flags)
	up := flags.Int64("up", 0, "bytes to the endpoint, on each connection")
	down := flags.Int64("down", 0, "bytes from the endpoint, on each connection")
	connections := flags.Int("connections", 1, "connections at once")
	return func() (any, error) {
		if err := d.prepare(); err != nil {
			return nil, err
		}
		began := time.Now()
		failures := make(chan error, *connections)
		for range *connections {
			go func() { failures <- d.transfer(*up, *down) }()
		}
		var failed error
		for range *connections {
			failed = errors.Join(failed, <-failures)
		}
		seconds := time.Since(began).Seconds()
		total := (*up + *down) * int64(*connections)
		return transferred{total, seconds, float64(total) / mib / seconds}, failed
	}
}

type transferred struct {
	Bytes        int64   `json:"bytes"`
	Seconds      float64 `json:"seconds"`
	MibPerSecond float64 `json:"mibPerSecond"`
}

func (d *dialer) transfer(up, down int64) error {
	conn, err := d.open(context.Background(), fmt.Sprintf("duplex %d %d", up, down))
	if err != nil {
		return err
	}
	defer conn.Close()
	type written struct {
		sum []byte
		err error
	}
	done := make(chan written, 1)
	go func() {
		sum, err := writeRandom(conn, up)
		done <- written{sum, err}
	}()
	received, err := readHash(conn, down)
	if err != nil {
		return err
	}
	sent := <-done
	if sent.err != nil {
		return sent.err
	}
	return compareSums(conn, sent.sum, received)
}

// compareSums reads what the endpoint received and sent.
func compareSums(conn net.Conn, sent, received []byte) error {
	theirs := make([]byte, 2*sha256.Size)
	if _, err := io.ReadFull(conn, theirs); err != nil {
		return fmt.Errorf("no hashes from the endpoint: %w", err)
	}
	if !bytes.Equal(theirs[:sha256.Size], sent) {
		return errors.New("the endpoint received other bytes than were sent")
	}
	if !bytes.Equal(theirs[sha256.Size:], received) {
		return errors.New("other bytes were received than the endpoint sent")
	}
	return nil
}
