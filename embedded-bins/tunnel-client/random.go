package main

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math"
	random "math/rand/v2"
)

const (
	kib = 1024
	mib = 1024 * kib
)

// pool is where random chunks are cut from; making fresh bytes for each would measure the generator.
var pool = func() []byte {
	bytes := make([]byte, 4*mib)
	if _, err := rand.Read(bytes); err != nil {
		panic(err)
	}
	return bytes
}()

// chunkSize is anything from one byte to 1 MiB, small ones as likely as large ones.
func chunkSize() int64 {
	return int64(math.Exp(random.Float64() * math.Log(mib)))
}

// writeRandom writes total bytes in chunks of random size and returns their hash.
func writeRandom(w io.Writer, total int64) ([]byte, error) {
	sum := sha256.New()
	for sent := int64(0); sent < total; {
		size := min(total-sent, chunkSize())
		at := random.Int64N(int64(len(pool)) - size + 1)
		chunk := pool[at : at+size]
		sum.Write(chunk)
		if _, err := w.Write(chunk); err != nil {
			return nil, fmt.Errorf("after %d of %d bytes written: %w", sent, total, err)
		}
		sent += size
	}
	return sum.Sum(nil), nil
}

// readHash reads exactly total bytes and returns their hash.
func readHash(r io.Reader, total int64) ([]byte, error) {
	var sum hash.Hash = sha256.New()
	read, err := io.CopyBuffer(sum, io.LimitReader(r, total), make([]byte, 256*kib))
	if err == nil && read != total {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("after %d of %d bytes read: %w", read, total, err)
	}
	return sum.Sum(nil), nil
}
