package main

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// replayTimeout is how long a server may take to apply what a killed one left in its write-ahead log.
const replayTimeout = 5 * time.Minute

// replayCopy lets a server apply the write-ahead log to a copy of the data directory, then opens that. The server
// listens on ports of the loopback address that the kernel chooses, and is stopped before anything is read.
func replayCopy(o options, forceNewCluster bool) (*source, error) {
	dir, err := os.MkdirTemp(o.workDir, "k0s-datastore-")
	if err != nil {
		return nil, err
	}
	s := &source{temporary: dir}
	copied := filepath.Join(dir, "etcd")
	if err := os.CopyFS(copied, os.DirFS(o.dataDir)); err != nil {
		s.close()
		return nil, err
	}
	if err := runOnce(copied, forceNewCluster); err != nil {
		s.close()
		return nil, err
	}
	if s.db, err = openFile(filepath.Join(copied, "member", "snap", "db")); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func runOnce(dataDir string, forceNewCluster bool) error {
	loopback := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config := embed.NewConfig()
	config.Dir = dataDir
	// Members that are not here cannot be asked; alone, the server agrees with itself and loses nothing.
	config.ForceNewCluster = forceNewCluster
	config.ListenClientUrls, config.AdvertiseClientUrls = loopback, loopback
	config.ListenPeerUrls, config.AdvertisePeerUrls = loopback, loopback
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "error"
	config.TickMs, config.ElectionMs = 20, 100
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	select {
	case <-server.Server.ReadyNotify():
		return nil
	case err := <-server.Err():
		return err
	case <-time.After(replayTimeout):
		return errors.New("the write-ahead log could not be replayed in time")
	}
}
