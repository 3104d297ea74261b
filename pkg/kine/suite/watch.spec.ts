import assert from 'node:assert/strict'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b } from '#pkg/kine/testing/requests.ts'
import { createWatch, eventsOf, openWatch, showEvent } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'watch', (on) => {
  const open = (): TestStream => on.etcd.stream('Watch/Watch')

  it('gives the value before to every change of a key, however many come at once', async () => {
    const stream = await openWatch(on.etcd, { ...prefixRange('batch/'), prev_kv: true })
    await Promise.all(Array.from({ length: 60 }, (_, i) => on.etcd.put(`batch/${i % 2}`, String(i))))
    await Promise.all([on.etcd.remove('batch/0'), on.etcd.put('batch/0', 'again'), on.etcd.remove('batch/0')])
    const { header } = await on.etcd.put('batch/0', 'last')
    const events = await eventsOf(stream, 60)
    while (events.at(-1)!.kv.mod_revision < header.revision) events.push(...(await stream.next()).events)
    const latest = new Map<string, string | undefined>()
    for (const { type, kv, prev_kv: previous } of events) {
      const name = kv.key.toString()
      assert.equal(previous?.value.toString(), latest.get(name), `${name} at ${kv.mod_revision}`)
      latest.set(name, type === 'Delete' ? undefined : kv.value.toString())
    }
    assert.equal(latest.get('batch/0'), 'last')
  })

  it('tells creation, change and deletion with the previous value', async () => {
    const stream = open()
    await createWatch(stream, { ...prefixRange('a/'), prev_kv: true })
    await on.etcd.put('a/1', 'one')
    await on.etcd.put('b/1', 'unwatched')
    await on.etcd.put('a/1', 'two')
    const { header } = await on.etcd.remove('a/1')
    await on.etcd.put('a/1', 'three')
    const events = await eventsOf(stream, 4)
    assert.deepEqual(events.map(showEvent), ['p a/1 one', 'p a/1 two one', 'd a/1  two', 'p a/1 three'])
    const [created, updated, deleted] = events
    assert.equal(created!.kv.create_revision, created!.kv.mod_revision)
    assert.deepEqual([updated!.kv.create_revision, updated!.kv.version], [created!.kv.mod_revision, 2])
    assert.deepEqual([deleted!.kv.mod_revision, deleted!.kv.create_revision], [header.revision, 0])
  })

  it('keeps the events of one transaction together and in its order', async () => {
    const stream = open()
    await createWatch(stream, prefixRange('t/'))
    const ops = ['c', 'a', 'b'].map((name) => ({ request_put: { key: b(`t/${name}`), value: b('x') } }))
    const { header } = await on.etcd.txn({ success: ops })
    const response = await stream.next()
    assert.deepEqual(response.events.map(showEvent), ['p t/c x', 'p t/a x', 'p t/b x'])
    assert.ok(response.events.every(({ kv }) => kv.mod_revision === header.revision))
    assert.equal(response.header.revision, header.revision)
  })

  it('filters and cancels', async () => {
    const stream = open()
    const noPuts = await createWatch(stream, { key: b('f'), filters: ['Noput'], prev_kv: true })
    const noDeletes = await createWatch(stream, { key: b('f'), filters: ['Nodelete'] })
    await on.etcd.put('f', '1')
    await on.etcd.remove('f')
    const got = [await stream.next(), await stream.next()]
    const seen = new Map(got.map((response) => [response.watch_id, response.events.map(showEvent)]))
    assert.deepEqual(seen.get(noPuts.watch_id), ['d f  1'])
    assert.deepEqual(seen.get(noDeletes.watch_id), ['p f 1'])
    stream.write({ cancel_request: { watch_id: noPuts.watch_id } })
    const canceled = await stream.next()
    assert.deepEqual([canceled.watch_id, canceled.canceled, canceled.compact_revision], [noPuts.watch_id, true, 0])
    await on.etcd.put('f', '2')
    assert.deepEqual((await eventsOf(stream, 1)).map(showEvent), ['p f 2'])
  })

  it('answers creates in their order, with ids of its own or of the client', async () => {
    const stream = open()
    for (const id of [0, 7, 0]) stream.write({ create_request: { key: b('ids'), watch_id: id } })
    stream.write({ create_request: { key: b('ids'), watch_id: 7 } })
    stream.write({ create_request: { key: b('z'), range_end: b('a') } })
    stream.write({ create_request: { key: b('ids'), start_revision: -1 } })
    const answers = []
    for (let i = 0; i < 6; i += 1) {
      const { watch_id: id, created, canceled, cancel_reason: reason } = await stream.next()
      assert.equal(created, true)
      answers.push([id, canceled, reason])
    }
    assert.deepEqual(answers, [
      [0, false, ''],
      [7, false, ''],
      [1, false, ''],
      [-1, true, 'mvcc: duplicate watch ID provided on the WatchStream'],
      [-1, true, 'mvcc: watcher range is empty'],
      [-1, true, 'etcdserver: mvcc: required revision has been compacted'],
    ])
  })

  it('splits an oversized revision only for those who take fragments', async () => {
    const whole = open()
    const split = open()
    const value = Buffer.alloc(100 * 1024, 'v')
    await createWatch(whole, { ...prefixRange('frag/'), prev_kv: true })
    await createWatch(split, { ...prefixRange('frag/'), fragment: true, prev_kv: true })
    for (let i = 0; i < 30; i += 1) await on.etcd.call('KV/Put', { key: b(`frag/${i}`), value })
    await eventsOf(whole, 30)
    await eventsOf(split, 30)
    await on.etcd.call('KV/DeleteRange', prefixRange('frag/'))
    const { events, fragment } = await whole.next()
    assert.deepEqual([events.length, fragment], [30, false])
    const parts = [await split.next()]
    while (parts.at(-1)!.fragment) parts.push(await split.next())
    assert.ok(parts.length > 1)
    const joined = parts.flatMap((part) => part.events.map(({ kv }) => kv.key.toString()))
    assert.deepEqual(
      joined,
      events.map(({ kv }) => kv.key.toString()),
    )
  })

  it('loses, doubles and reorders nothing for a reader that stops, under writers and compaction', async () => {
    const stream = open()
    const start = (await on.etcd.range('x')).header.revision
    await createWatch(stream, { ...prefixRange('slow/'), prev_kv: true })
    const fast = open()
    await createWatch(fast, prefixRange('slow/'))
    stream.pause()
    const value = 'v'.repeat(2000)
    const writers = Array.from({ length: 8 }, async (_, writer) => {
      for (let i = 0; i < 100; i += 1) await on.etcd.put(`slow/${writer}`, `${i} ${value}`)
    })
    await Promise.all(writers)
    assert.equal((await eventsOf(fast, 800)).length, 800)
    await on.etcd.call('KV/Compact', { revision: start + 1 })
    stream.resume()
    const events = await eventsOf(stream, 800)
    const revisions = events.map(({ kv }) => kv.mod_revision)
    assert.deepEqual(
      revisions,
      revisions.map((_, i) => start + 1 + i),
    )
    for (const { kv, prev_kv: previous } of events) {
      assert.equal(previous === null, kv.version === 1)
      if (previous !== null)
        assert.equal(Number.parseInt(previous.value.toString(), 10), Number.parseInt(kv.value.toString(), 10) - 1)
    }
  })
})
