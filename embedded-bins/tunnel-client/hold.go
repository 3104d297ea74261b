package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"io"
	"time"
)

// holdCommand keeps one connection until it ends and tells when it was open and when it ended, each at once.
func holdCommand(flags *flag.FlagSet) func() (any, error) {
	d := dialerFlags(flags)
	command := flags.String("command", "echo", "what the endpoint shall do")
	every := flags.Duration("every", 0, "send 64 bytes so often")
	readAfter := flags.Duration("read-after", 0, "read nothing before")
	write := flags.Int64("write", 0, "write so many bytes at once, then close")
	return func() (any, error) {
		if err := d.prepare(); err != nil {
			return nil, err
		}
		conn, err := d.open(context.Background(), *command)
		if err != nil {
			return happened("refused", 0, err), nil
		}
		if err := report(happened("open", 0, nil)); err != nil {
			return nil, err
		}
		if *write > 0 {
			_, err := writeRandom(conn, *write)
			if err == nil {
				err = closed(conn)
			}
			return happened("closed", *write, err), nil
		}
		if *every > 0 {
			go func() {
				for range time.Tick(*every) {
					if _, err := conn.Write(pool[:64]); err != nil {
						return
					}
				}
			}()
		}
		time.Sleep(*readAfter)
		sum := sha256.New()
		read, err := io.Copy(sum, conn)
		ended := happened("ended", read, err)
		conn.Close()
		return struct {
			event
			Sha256 string `json:"sha256"`
		}{ended, hex.EncodeToString(sum.Sum(nil))}, nil
	}
}
