package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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

// prepare prints where the database file is, and what it holds, then waits: a server cannot open a file that is open
// here, and a copy is removed when whoever asked is gone.
func prepare(o options) error {
	source, err := openSource(o)
	if err != nil {
		return err
	}
	defer source.close()
	found := struct {
		File string `json:"file"`
		header
	}{File: source.db.Path()}
	if err := source.db.View(func(tx *bolt.Tx) error {
		found.header, err = readHeader(tx)
		return err
	}); err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(found); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
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
	config, err := clientConfig(o)
	if err != nil {
		s.close()
		return nil, err
	}
	// A snapshot is waited for without end.
	if _, err := askRevision(config); err != nil {
		s.close()
		return nil, err
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

func printRevision(o options) error {
	config, err := clientConfig(o)
	if err != nil {
		return err
	}
	revision, err := askRevision(config)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"revision": revision})
}

// askRevision asks a running member, which answers with what the majority has committed.
func askRevision(config clientv3.Config) (int64, error) {
	client, err := clientv3.New(config)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	reply, err := client.Get(ctx, "k0s-datastore", clientv3.WithCountOnly())
	if err != nil {
		return 0, fmt.Errorf("cannot read %s: %w", config.Endpoints[0], err)
	}
	return reply.Header.Revision, nil
}

func clientConfig(o options) (clientv3.Config, error) {
	config := clientv3.Config{Endpoints: splitURLs(o.endpoints)[:1], DialTimeout: 5 * time.Second, Logger: zap.NewNop()}
	if o.caFile == "" && o.certFile == "" {
		return config, nil
	}
	info := transport.TLSInfo{TrustedCAFile: o.caFile, CertFile: o.certFile, KeyFile: o.keyFile, Logger: zap.NewNop()}
	var err error
	config.TLS, err = info.ClientConfig()
	return config, err
}
