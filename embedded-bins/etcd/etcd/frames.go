package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// change is one version of a key as it crosses the pipe, all numbers little endian:
// revision, sub, create revision, version (0: deleted), lease as int64, lengths of key and value as uint32, key, value.
type change struct {
	revision, sub, createRevision, version, lease int64
	key, value                                    []byte
}

const (
	// headBytes is the length of a change without key and value.
	headBytes = 5*8 + 2*4
	// endOfChanges in place of a revision: there are no more.
	endOfChanges = 0
	// commitChanges in place of a revision: what came so far is to be made durable and acknowledged.
	commitChanges = -1
	// maxBytes of a key or value: etcd's own limit of a request is far below.
	maxBytes = 1 << 30
)

// header is the line of JSON before (dump) or behind (load) the changes. Lease ids are strings: they use all 64 bits.
type header struct {
	Revision        int64   `json:"revision"`
	CompactRevision int64   `json:"compactRevision"`
	Leases          []lease `json:"leases"`
}

type lease struct {
	ID               string `json:"id"`
	TTLSeconds       int64  `json:"ttlSeconds"`
	RemainingSeconds int64  `json:"remainingSeconds"`
}

func writeChange(w *bufio.Writer, c change) error {
	var head [headBytes]byte
	for i, n := range []int64{c.revision, c.sub, c.createRevision, c.version, c.lease} {
		binary.LittleEndian.PutUint64(head[8*i:], uint64(n))
	}
	binary.LittleEndian.PutUint32(head[40:], uint32(len(c.key)))
	binary.LittleEndian.PutUint32(head[44:], uint32(len(c.value)))
	for _, part := range [][]byte{head[:], c.key, c.value} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// readChange reads a change, or a mark (endOfChanges, commitChanges) that is a revision alone.
func readChange(r *bufio.Reader) (c change, err error) {
	var head [headBytes]byte
	if _, err = io.ReadFull(r, head[:8]); err != nil {
		return c, err
	}
	c.revision = int64(binary.LittleEndian.Uint64(head[:]))
	if c.revision <= 0 {
		return c, nil
	}
	if _, err = io.ReadFull(r, head[8:]); err != nil {
		return c, err
	}
	for i, n := range []*int64{&c.sub, &c.createRevision, &c.version, &c.lease} {
		*n = int64(binary.LittleEndian.Uint64(head[8+8*i:]))
	}
	keyBytes, valueBytes := binary.LittleEndian.Uint32(head[40:]), binary.LittleEndian.Uint32(head[44:])
	if keyBytes > maxBytes || valueBytes > maxBytes {
		return c, errors.New("a change is longer than any store allows")
	}
	both := make([]byte, keyBytes+valueBytes)
	_, err = io.ReadFull(r, both)
	c.key, c.value = both[:keyBytes:keyBytes], both[keyBytes:]
	return c, err
}

func writeMark(w *bufio.Writer, mark int64) error {
	var bytes [8]byte
	binary.LittleEndian.PutUint64(bytes[:], uint64(mark))
	_, err := w.Write(bytes[:])
	return err
}
