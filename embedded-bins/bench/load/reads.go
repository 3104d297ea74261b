package main

import (
	"context"
	"errors"
	"math/rand/v2"

	clientv3 "go.etcd.io/etcd/client/v3"
)

var errMissing = errors.New("a key that was written is not there")

// runGets reads single random keys, linearizable.
func runGets(ctx context.Context, o *options) (any, error) {
	return closedLoop(ctx, o, func(ctx context.Context, client *clientv3.Client, _, _ int) error {
		response, err := client.Get(ctx, keyName(o, rand.IntN(o.keys)))
		if err == nil && len(response.Kvs) != 1 {
			err = errMissing
		}
		return err
	})
}

// runProbes asks for the current revision as kube-apiserver does before each consistent list from its cache.
func runProbes(ctx context.Context, o *options) (any, error) {
	return closedLoop(ctx, o, func(ctx context.Context, client *clientv3.Client, _, _ int) error {
		response, err := client.Get(ctx, o.prefix, clientv3.WithPrefix(), clientv3.WithLimit(1))
		if err == nil && (len(response.Kvs) != 1 || response.Header.Revision == 0) {
			err = errMissing
		}
		return err
	})
}

// listPage is kubectl's page size.
const listPage = 500

// runLists reads the keys page by page: the first page at the newest revision, the others pinned to it.
func runLists(ctx context.Context, o *options) (any, error) {
	cursors := make([]struct {
		key      string
		revision int64
	}, o.clients)
	end := clientv3.GetPrefixRangeEnd(o.prefix)
	return closedLoop(ctx, o, func(ctx context.Context, client *clientv3.Client, id, _ int) error {
		at := &cursors[id]
		if at.key == "" {
			at.key, at.revision = o.prefix, 0
		}
		response, err := client.Get(ctx, at.key,
			clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(at.revision))
		if err != nil {
			return err
		}
		if len(response.Kvs) == 0 {
			return errMissing
		}
		at.key, at.revision = string(response.Kvs[len(response.Kvs)-1].Key)+"\x00", response.Header.Revision
		if !response.More {
			at.key = ""
		}
		return nil
	})
}
