import assert from 'node:assert/strict'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { b } from '#pkg/kine/testing/requests.ts'
import { messagesUpTo, openWatch } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

const WATCHES = 10_000

onEach(TARGETS, 'many watches', (on) => {
  it(`of one stream, ${WATCHES} of them, are answered in order and get their own events`, async () => {
    const stream = on.etcd.stream('Watch/Watch')
    for (let i = 0; i < WATCHES; i += 1) stream.write({ create_request: { key: b(`many/${i}`) } })
    for (let i = 0; i < WATCHES; i += 1) assert.equal((await stream.next()).watch_id, i)
    const touched = [7, 199, 5000, WATCHES - 1]
    for (const i of touched) await on.etcd.put(`many/${i}`, 'x')
    for (const i of touched) {
      const { watch_id: id, events } = await stream.next()
      assert.deepEqual([id, events.map(({ kv }) => kv.key.toString())], [i, [`many/${i}`]])
    }
    stream.cancel()
  })

  it('on streams of their own get everything', async () => {
    const clients = Array.from({ length: 10 }, () => on.server.connect())
    const opening = clients.flatMap((etcd) => Array.from({ length: 20 }, () => openWatch(etcd, prefixRange('all/'))))
    const streams = await Promise.all(opening)
    let revision = 0
    for (let i = 0; i < 20; i += 1) revision = (await on.etcd.put(`all/${i}`, 'x')).header.revision
    for (const stream of streams) {
      const events = (await messagesUpTo(stream, revision)).flatMap((message) => message.events)
      assert.deepEqual(
        events.map(({ kv }) => kv.mod_revision),
        Array.from({ length: 20 }, (_, i) => revision - 19 + i),
      )
      stream.cancel()
    }
  })

  it('are answered in order through a storm of creates and cancels, under writes', async () => {
    const stream = on.etcd.stream('Watch/Watch')
    const over = new AbortController()
    const writer = (async () => {
      const etcd = on.server.connect()
      while (!over.signal.aborted) await etcd.put(`storm/${Math.floor(Math.random() * 10)}`, 'x')
    })()
    const { created, canceled, open } = await storm(stream, 1500)
    over.abort()
    await writer
    assert.deepEqual(created, [...created.keys()], 'created in the order asked for')
    assert.equal(canceled.size + open.size, 1500)
    const { header } = await on.etcd.put('storm/0', 'last')
    const messages = await messagesUpTo(stream, header.revision)
    const last = messages.filter(({ events }) => events.some(({ kv }) => kv.mod_revision === header.revision))
    const told = new Set(last.map(({ watch_id: id }) => id))
    for (const [id, key] of open) assert.equal(told.has(id), key === 'storm/0', `watch ${id} of ${key}`)
    stream.cancel()
  })

  it('come and go with their connections', async () => {
    for (let round = 0; round < 20; round += 1) {
      const etcd = on.server.connect()
      const streams = await Promise.all(Array.from({ length: 20 }, () => openWatch(etcd, prefixRange('gone/'))))
      if (round % 2 === 0) for (const stream of streams) stream.cancel()
      etcd.close()
    }
    const stream = await openWatch(on.etcd, prefixRange('gone/'))
    await on.etcd.put('gone/x', 'x')
    assert.equal((await stream.next()).events.length, 1)
  })
})

/** Creates `count` watches, cancelling many of them at random; resolves when all of it has been answered. */
async function storm(
  stream: TestStream,
  count: number,
): Promise<{ created: number[]; canceled: Set<number>; open: Map<number, string> }> {
  const random = new Random(1)
  const created: number[] = []
  const canceled = new Set<number>()
  const asked = new Set<number>()
  const open = new Map<number, string>()
  const keys = Array.from({ length: count }, () => `storm/${random.below(10)}`)
  for (const key of keys) stream.write({ create_request: { key: b(key), start_revision: random.oneIn(4) ? 1 : 0 } })
  while (created.length < count || canceled.size < asked.size) {
    const message = await stream.next()
    const { watch_id: id } = message
    if (message.created) {
      created.push(id)
      open.set(id, keys[id]!)
      if (!random.oneIn(2)) continue
      asked.add(id)
      stream.write({ cancel_request: { watch_id: id } })
    } else if (message.canceled) {
      assert.ok(asked.has(id) && open.delete(id), `watch ${id} was canceled`)
      canceled.add(id)
    } else {
      for (const { kv } of message.events) assert.equal(kv.key.toString(), open.get(id), `event of watch ${id}`)
    }
  }
  return { created, canceled, open }
}
