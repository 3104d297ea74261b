package main

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// bigLists is what a run of runBigLists measured.
type bigLists struct {
	figures
	Lists   int `json:"lists"`
	Written int `json:"written"`
}

// runBigLists reads all keys again and again, in pages and at one revision, while they are updated at a rate. The pages of
// a list must be the whole list at its revision, which is asked for once more in one piece.
func runBigLists(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, 2)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	type ending struct {
		paced
		err error
	}
	written := make(chan ending, 1)
	go func() {
		result, err := updateAtRate(ctx, conns[1], o)
		written <- ending{result, err}
	}()
	var pages []time.Duration
	result := bigLists{}
	for {
		took, err := listTwice(ctx, conns[0], o)
		if err != nil {
			return nil, err
		}
		pages = append(pages, took...)
		result.Lists++
		select {
		case over := <-written:
			result.figures = summarize(pages)
			result.Written = over.Written
			return result, over.err
		default:
		}
	}
}

// listTwice reads the keys page by page, then at once, both at the revision of the first page; tells what each page took.
func listTwice(ctx context.Context, client *clientv3.Client, o *options) ([]time.Duration, error) {
	end := clientv3.GetPrefixRangeEnd(o.prefix)
	key, revision, left := o.prefix, int64(0), int64(o.keys)
	inPages := fnv.New64a()
	var pages []time.Duration
	for more := true; more; {
		began := time.Now()
		response, err := client.Get(ctx, key, clientv3.WithRange(end), clientv3.WithLimit(listPage), clientv3.WithRev(revision))
		if err != nil {
			return nil, err
		}
		pages = append(pages, time.Since(began))
		if revision == 0 {
			revision = response.Header.Revision
		}
		if response.Count != left {
			return nil, fmt.Errorf("a page tells %d keys, %d are left", response.Count, left)
		}
		for _, kv := range response.Kvs {
			if kv.ModRevision > revision {
				return nil, fmt.Errorf("a list at revision %d has a change of %d", revision, kv.ModRevision)
			}
			fmt.Fprintf(inPages, "%s %d ", kv.Key, kv.ModRevision)
			_, _ = inPages.Write(kv.Value)
		}
		left -= int64(len(response.Kvs))
		if more = response.More; more {
			key = string(slices.Concat(response.Kvs[len(response.Kvs)-1].Key, []byte{0}))
		}
	}
	if left != 0 {
		return nil, fmt.Errorf("%d keys are missing in the last page", left)
	}
	whole, err := client.Get(ctx, o.prefix, clientv3.WithPrefix(), clientv3.WithRev(revision))
	if err != nil {
		return nil, err
	}
	atOnce := fnv.New64a()
	for _, kv := range whole.Kvs {
		fmt.Fprintf(atOnce, "%s %d ", kv.Key, kv.ModRevision)
		_, _ = atOnce.Write(kv.Value)
	}
	if atOnce.Sum64() != inPages.Sum64() {
		return nil, errors.New("the pages of a list are not the list at their revision")
	}
	return pages, nil
}
