package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// dump writes every change of a database file in revision order, then the end mark.
func dump(o options) error {
	db, err := openFile(o.file)
	if err != nil {
		return err
	}
	defer db.Close()
	out := bufio.NewWriterSize(os.Stdout, 1<<20)
	err = db.View(func(tx *bolt.Tx) error {
		if err := dumpChanges(tx, out); err != nil {
			return err
		}
		return writeMark(out, endOfChanges)
	})
	if err != nil {
		return err
	}
	return out.Flush()
}

func dumpChanges(tx *bolt.Tx, out *bufio.Writer) error {
	keys := tx.Bucket(schema.Key.Name())
	if keys == nil {
		return nil
	}
	return keys.ForEach(func(k, v []byte) error {
		var kv mvccpb.KeyValue
		if err := proto.Unmarshal(v, &kv); err != nil {
			return fmt.Errorf("a change cannot be read: %w", err)
		}
		at := mvcc.BytesToRev(k)
		c := change{revision: at.Main, sub: at.Sub, key: kv.Key}
		if !mvcc.IsTombstone(k) {
			c.createRevision, c.version, c.lease, c.value = kv.CreateRevision, kv.Version, kv.Lease, kv.Value
		}
		return writeChange(out, c)
	})
}

func readHeader(tx *bolt.Tx) (header, error) {
	head := header{Revision: 1, CompactRevision: -1, Leases: []lease{}}
	if keys := tx.Bucket(schema.Key.Name()); keys != nil {
		if last, _ := keys.Cursor().Last(); last != nil {
			head.Revision = mvcc.BytesToRev(last).Main
		}
	}
	if meta := tx.Bucket(schema.Meta.Name()); meta != nil {
		for _, name := range [][]byte{schema.FinishedCompactKeyName, schema.ScheduledCompactKeyName} {
			if at := meta.Get(name); at != nil {
				head.CompactRevision = max(head.CompactRevision, mvcc.BytesToRev(at).Main)
			}
		}
	}
	head.Revision = max(head.Revision, head.CompactRevision)
	leases := tx.Bucket(schema.Lease.Name())
	if leases == nil {
		return head, nil
	}
	err := leases.ForEach(func(_, v []byte) error {
		var l leasepb.Lease
		if err := proto.Unmarshal(v, &l); err != nil {
			return fmt.Errorf("a lease cannot be read: %w", err)
		}
		remaining := l.RemainingTTL
		if remaining == 0 {
			// etcd keeps no expiry: a lease gets its whole time again when a server starts.
			remaining = l.TTL
		}
		head.Leases = append(head.Leases, lease{strconv.FormatInt(l.ID, 10), l.TTL, remaining})
		return nil
	})
	return head, err
}
