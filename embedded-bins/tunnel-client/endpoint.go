package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// endpointCommand listens and does on each connection what its first line says:
//
//	duplex UP DOWN  reads UP bytes while it writes DOWN, then writes the hash of both
//	echo            writes back what it reads
//	flood           writes until it fails, reads nothing
//	block           does nothing
//	finish N        writes N bytes and closes
//	reset N         writes N bytes and resets the connection
//	drain           reads to the end
//
// It prints a line when a connection ends.
func endpointCommand(flags *flag.FlagSet) func() (any, error) {
	listen := flags.String("listen", ":9000", "host:port")
	return func() (any, error) {
		listener, err := net.Listen("tcp", *listen)
		if err != nil {
			return nil, err
		}
		var printing sync.Mutex
		for {
			conn, err := listener.Accept()
			if err != nil {
				return nil, err
			}
			go func() {
				began := time.Now().UnixMilli()
				s := &served{Remote: conn.RemoteAddr().String(), BeganMs: began}
				err := s.serve(conn.(*net.TCPConn))
				conn.Close()
				s.EndedMs = time.Now().UnixMilli()
				if err != nil && !errors.Is(err, io.EOF) {
					s.Error = err.Error()
				}
				printing.Lock()
				defer printing.Unlock()
				_ = report(s)
			}()
		}
	}
}

// served is what the endpoint tells of one connection.
type served struct {
	Remote  string `json:"remote"`
	Command string `json:"command"`
	Read    int64  `json:"read"`
	Error   string `json:"error,omitempty"`
	BeganMs int64  `json:"beganMs"`
	EndedMs int64  `json:"endedMs"`
}

func (s *served) serve(conn *net.TCPConn) error {
	reader := bufio.NewReaderSize(conn, 256*kib)
	line, err := reader.ReadString('\n')
	if err != nil {
		return err
	}
	s.Command = strings.TrimSpace(line)
	var name string
	var up, down int64
	if _, err := fmt.Sscan(s.Command, &name, &up, &down); err != nil && name == "" {
		return err
	}
	switch name {
	case "duplex":
		s.Read = up
		return duplex(conn, reader, up, down)
	case "echo":
		s.Read, err = io.Copy(conn, reader)
		return err
	case "flood":
		for {
			if _, err := conn.Write(pool[:mib]); err != nil {
				return err
			}
		}
	case "block":
		// Its receive buffer fills up and it notices nothing; the test ends the process.
		select {}
	case "finish":
		_, err := conn.Write(pool[:up])
		return err
	case "reset":
		if _, err := conn.Write(pool[:up]); err != nil {
			return err
		}
		return conn.SetLinger(0)
	case "drain":
		s.Read, err = io.Copy(io.Discard, reader)
		return err
	}
	return fmt.Errorf("unknown command %q", s.Command)
}

// duplex is the endpoint's side of a transfer.
func duplex(w io.Writer, r io.Reader, up, down int64) error {
	type written struct {
		sum []byte
		err error
	}
	done := make(chan written, 1)
	go func() {
		sum, err := writeRandom(w, down)
		done <- written{sum, err}
	}()
	received, err := readHash(r, up)
	if err != nil {
		return err
	}
	sent := <-done
	if sent.err != nil {
		return sent.err
	}
	_, err = w.Write(append(received, sent.sum...))
	return err
}
