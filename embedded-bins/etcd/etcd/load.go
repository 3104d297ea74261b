package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/etcdutl/v3/snapshot"
	"go.etcd.io/etcd/server/v3/lease/leasepb"
	"go.etcd.io/etcd/server/v3/storage/backend"
	"go.etcd.io/etcd/server/v3/storage/mvcc"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"google.golang.org/protobuf/proto"
)

// clusterToken is etcd's default of --initial-cluster-token.
const clusterToken = "etcd-cluster"

// fillPercent of pages: changes come in the order of their keys, so that no page is split later.
const fillPercent = 0.9

// load writes changes into a data directory that only it knows of. It says first up to which revision the directory is
// complete, so that a load that was killed goes on there, and repeats that after each commit that was asked for.
func load(o options) error {
	if err := makeDataDir(o); err != nil {
		return err
	}
	db, err := bolt.Open(dbFile(o.dataDir), 0o600, &bolt.Options{
		Timeout:        lockTimeout,
		NoFreelistSync: true,
		FreelistType:   bolt.FreelistMapType,
	})
	if errors.Is(err, berrors.ErrTimeout) {
		return fmt.Errorf("%s is being written by another process", o.dataDir)
	}
	if err != nil {
		return err
	}
	defer db.Close()
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	replies := json.NewEncoder(os.Stdout)
	for {
		revision, err := position(db)
		if err != nil {
			return err
		}
		if err := replies.Encode(map[string]int64{"revision": revision}); err != nil {
			return err
		}
		mark, err := loadBatch(db, in)
		if err != nil {
			return err
		}
		if mark == endOfChanges {
			return replies.Encode(map[string]bool{"done": true})
		}
	}
}

func dbFile(dataDir string) string {
	return filepath.Join(dataDir, "member", "snap", "db")
}

// makeDataDir makes the data directory of a new cluster of one member with an empty store, unless it is there. What a
// killed run left half made has another name.
func makeDataDir(o options) error {
	if _, err := os.Stat(dbFile(o.dataDir)); err == nil {
		return nil
	}
	unfinished := o.dataDir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	lg := logger()
	empty := filepath.Join(unfinished, "empty.db")
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return err
	}
	store := backend.NewDefaultBackend(lg, empty)
	tx := store.BatchTx()
	tx.LockOutsideApply()
	for _, bucket := range []backend.Bucket{schema.Meta, schema.Key, schema.Lease} {
		tx.UnsafeCreateBucket(bucket)
	}
	tx.Unlock()
	if err := store.Close(); err != nil {
		return err
	}
	made := filepath.Join(unfinished, "etcd")
	err := snapshot.NewV3(lg).Restore(snapshot.RestoreConfig{
		SnapshotPath:        empty,
		Name:                o.name,
		OutputDataDir:       made,
		PeerURLs:            []string{o.peerURL},
		InitialCluster:      o.name + "=" + o.peerURL,
		InitialClusterToken: clusterToken,
		SkipHashCheck:       true,
	})
	if err != nil {
		return err
	}
	if err := os.Rename(made, o.dataDir); err != nil {
		return err
	}
	return os.RemoveAll(unfinished)
}

// position is the revision up to which all changes are there: batches end behind whole revisions.
func position(db *bolt.DB) (revision int64, err error) {
	err = db.View(func(tx *bolt.Tx) error {
		if last, _ := tx.Bucket(schema.Key.Name()).Cursor().Last(); last != nil {
			revision = mvcc.BytesToRev(last).Main
		}
		return nil
	})
	return revision, err
}

// loadBatch writes what comes up to the next mark in one transaction; behind the end mark come the leases.
func loadBatch(db *bolt.DB, in *bufio.Reader) (mark int64, err error) {
	err = db.Update(func(tx *bolt.Tx) error {
		keys := tx.Bucket(schema.Key.Name())
		keys.FillPercent = fillPercent
		for {
			c, err := readChange(in)
			if err != nil {
				return err
			}
			if c.revision > 0 {
				if err := putChange(keys, c); err != nil {
					return err
				}
				continue
			}
			mark = c.revision
			if mark == commitChanges {
				return nil
			}
			return finish(tx, in)
		}
	})
	return mark, err
}

func putChange(keys *bolt.Bucket, c change) error {
	at := mvcc.RevToBytes(mvcc.Revision{Main: c.revision, Sub: c.sub}, mvcc.NewRevBytes())
	kv := &mvccpb.KeyValue{Key: c.key}
	if c.version == 0 {
		// What mvcc.IsTombstone looks for.
		at = append(at, 't')
	} else {
		kv.CreateRevision, kv.ModRevision, kv.Version = c.createRevision, c.revision, c.version
		kv.Lease, kv.Value = c.lease, c.value
	}
	value, err := proto.Marshal(kv)
	if err != nil {
		return err
	}
	return keys.Put(at, value)
}

// finish reads the header that ends a load.
func finish(tx *bolt.Tx, in *bufio.Reader) error {
	var head header
	if err := json.NewDecoder(in).Decode(&head); err != nil {
		return err
	}
	for _, l := range head.Leases {
		id, err := strconv.ParseInt(l.ID, 10, 64)
		if err != nil {
			return err
		}
		value, err := proto.Marshal(&leasepb.Lease{ID: id, TTL: l.TTLSeconds, RemainingTTL: l.RemainingSeconds})
		if err != nil {
			return err
		}
		var key [8]byte
		for i := range key {
			key[i] = byte(uint64(id) >> (56 - 8*i))
		}
		if err := tx.Bucket(schema.Lease.Name()).Put(key[:], value); err != nil {
			return err
		}
	}
	if head.CompactRevision < 0 {
		return nil
	}
	// Scheduled, not finished: the server deletes what the source had not yet deleted when it starts.
	at := mvcc.RevToBytes(mvcc.Revision{Main: head.CompactRevision}, mvcc.NewRevBytes())
	return tx.Bucket(schema.Meta.Name()).Put(schema.ScheduledCompactKeyName, at)
}
