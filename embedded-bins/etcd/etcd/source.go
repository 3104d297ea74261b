package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/snapshot"
	"go.etcd.io/etcd/server/v3/storage/schema"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
)

// lockTimeout is how long a data directory in use is waited for.
const lockTimeout = time.Second

// source is a database file opened for reading, and what was made to get it.
type source struct {
	db        *bolt.DB
	temporary string
}

func (s *source) close() {
	if s.db != nil {
		_ = s.db.Close()
	}
	if s.temporary != "" {
		_ = os.RemoveAll(s.temporary)
	}
}

// openSource opens the database of a stopped member, or a snapshot of a running one. Nothing of the source is changed.
func openSource(o options) (*source, error) {
	if o.endpoints != "" {
		return fetchSnapshot(o)
	}
	file := filepath.Join(o.dataDir, "member", "snap", "db")
	db, err := openFile(file)
	if err != nil {
		return nil, err
	}
	pending, err := hasPendingEntries(db, filepath.Join(o.dataDir, "member", "wal"))
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if !pending {
		return &source{db: db}, nil
	}
	members := countMembers(db)
	_ = db.Close()
	return replayCopy(o, members > 1)
}

func openFile(file string) (*bolt.DB, error) {
	if _, err := os.Stat(file); err != nil {
		return nil, err
	}
	db, err := bolt.Open(file, 0o400, &bolt.Options{ReadOnly: true, Timeout: lockTimeout})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("%s is in use by a running etcd", file)
	}
	return db, err
}

// hasPendingEntries tells whether the write-ahead log holds entries that a killed server had not yet applied to the file.
func hasPendingEntries(db *bolt.DB, walDir string) (bool, error) {
	var applied uint64
	err := db.View(func(tx *bolt.Tx) error {
		if meta := tx.Bucket(schema.Meta.Name()); meta != nil {
			if index := meta.Get(schema.MetaConsistentIndexKeyName); index != nil {
				applied = binary.BigEndian.Uint64(index)
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	lg := zap.NewNop()
	snapshots, err := wal.ValidSnapshotEntries(lg, walDir)
	if err != nil || len(snapshots) == 0 {
		return false, fmt.Errorf("cannot read the write-ahead log %s: %w", walDir, err)
	}
	last := snapshots[len(snapshots)-1]
	log, err := wal.OpenForRead(lg, walDir, last)
	if err != nil {
		return false, fmt.Errorf("cannot read the write-ahead log %s: %w", walDir, err)
	}
	defer log.Close()
	_, _, entries, err := log.ReadAll()
	if err != nil {
		return false, fmt.Errorf("cannot read the write-ahead log %s: %w", walDir, err)
	}
	newest := last.GetIndex()
	if len(entries) > 0 {
		newest = entries[len(entries)-1].GetIndex()
	}
	return newest > applied, nil
}

func countMembers(db *bolt.DB) (members int) {
	_ = db.View(func(tx *bolt.Tx) error {
		if bucket := tx.Bucket(schema.Members.Name()); bucket != nil {
			members = bucket.Stats().KeyN
		}
		return nil
	})
	return members
}

// fetchSnapshot gets the whole store of a running member as it is at one moment.
func fetchSnapshot(o options) (*source, error) {
	dir, err := os.MkdirTemp(o.workDir, "k0s-datastore-")
	if err != nil {
		return nil, err
	}
	s := &source{temporary: dir}
	config := clientv3.Config{Endpoints: splitURLs(o.endpoints)[:1], DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	info := transport.TLSInfo{TrustedCAFile: o.caFile, CertFile: o.certFile, KeyFile: o.keyFile, Logger: zap.NewNop()}
	if o.caFile != "" || o.certFile != "" {
		if config.TLS, err = info.ClientConfig(); err != nil {
			s.close()
			return nil, err
		}
	}
	file := filepath.Join(dir, "db")
	if _, err := snapshot.SaveWithVersion(context.Background(), zap.NewNop(), config, file); err != nil {
		s.close()
		return nil, fmt.Errorf("cannot read %s: %w", config.Endpoints[0], err)
	}
	if s.db, err = openFile(file); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
