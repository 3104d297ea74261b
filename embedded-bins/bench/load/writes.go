package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// runPuts writes fresh keys, which every server does in one step.
func runPuts(ctx context.Context, o *options) (any, error) {
	value := randomValue(o.valueSize)
	run := time.Now().UnixNano()
	return closedLoop(ctx, o, func(ctx context.Context, client *clientv3.Client, id, round int) error {
		_, err := client.Put(ctx, fmt.Sprintf("%sput/%x/%03d-%07d", o.prefix, run, id, round), value)
		return err
	})
}

var errConflict = errors.New("a transaction failed that nobody competes with")

// updatesPerObject: a pod is written about this often between its creation and its deletion.
const updatesPerObject = 3

// runMix does what kube-apiserver does to objects: create, update and delete transactions, below a watch with previous values.
func runMix(ctx context.Context, o *options) (any, error) {
	watching, err := dial(ctx, o, 1)
	if err != nil {
		return nil, err
	}
	defer closeAll(watching)
	var events atomic.Int64
	watchContext, stop := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer stop()
	watch := watching[0].Watch(watchContext, o.prefix+"mix/", clientv3.WithPrefix(), clientv3.WithPrevKV())
	go func() {
		for response := range watch {
			events.Add(int64(len(response.Events)))
		}
	}()
	value := randomValue(o.valueSize)
	run := time.Now().UnixNano()
	revisions := make([]int64, o.clients)
	result, err := closedLoop(ctx, o, func(ctx context.Context, client *clientv3.Client, id, round int) error {
		step := round % (updatesPerObject + 2)
		key := fmt.Sprintf("%smix/%x/%03d-%07d", o.prefix, run, id, round/(updatesPerObject+2))
		var err error
		switch step {
		case 0:
			revisions[id], err = create(ctx, client, key, value)
		case updatesPerObject + 1:
			err = remove(ctx, client, key, revisions[id])
		default:
			revisions[id], err = update(ctx, client, key, value, revisions[id])
		}
		return err
	})
	if err == nil && events.Load() == 0 {
		err = errors.New("the watch saw no event")
	}
	return result, err
}

func create(ctx context.Context, client *clientv3.Client, key, value string) (int64, error) {
	return committed(client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", 0)).
		Then(clientv3.OpPut(key, value)).
		Commit())
}

func update(ctx context.Context, client *clientv3.Client, key, value string, revision int64) (int64, error) {
	return committed(client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpPut(key, value)).
		Else(clientv3.OpGet(key)).
		Commit())
}

func remove(ctx context.Context, client *clientv3.Client, key string, revision int64) error {
	_, err := committed(client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).
		Then(clientv3.OpDelete(key)).
		Else(clientv3.OpGet(key)).
		Commit())
	return err
}

func committed(response *clientv3.TxnResponse, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	if !response.Succeeded {
		return 0, errConflict
	}
	return response.Header.Revision, nil
}

// runFill makes the keys that the reads ask for.
func runFill(ctx context.Context, o *options) (any, error) {
	conns, err := dial(ctx, o, o.conns)
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	value := randomValue(o.valueSize)
	var next atomic.Int64
	failures := make([]error, o.clients)
	began := time.Now()
	var group sync.WaitGroup
	for id := range o.clients {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(o.keys); i = next.Add(1) - 1 {
				if _, failures[id] = create(ctx, conns[id%len(conns)], keyName(o, int(i)), value); failures[id] != nil {
					return
				}
			}
		})
	}
	group.Wait()
	return map[string]float64{"seconds": time.Since(began).Seconds()}, errors.Join(failures...)
}

// keyName is the name of key i of those that runFill made; inttest/bench/kine-upstream.ts names them alike.
func keyName(o *options, i int) string {
	return fmt.Sprintf("%snamespace-%02d/object-%06d", o.prefix, i%50, i)
}

func randomValue(size int) string {
	bytes := make([]byte, size)
	for i := range bytes {
		bytes[i] = byte('a' + rand.IntN(26))
	}
	return string(bytes)
}
