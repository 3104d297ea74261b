import assert from 'node:assert/strict'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'
import { b } from '#pkg/kine/testing/requests.ts'
import { eventsOf, openWatch } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

/** More than what is kept in memory of recent changes. */
const WRITES = 320
const VALUE = Buffer.alloc(64 * 1024, 'v')

onEach(TARGETS, 'a watch that is not read', (on) => {
  const put = async (): Promise<number> =>
    (await on.etcd.call('KV/Put', { key: b('stalled/x'), value: VALUE })).header.revision

  /** A watch that stands still while much more is written than it can be sent; another one sees all of it meanwhile. */
  const stall = async (): Promise<{ stalled: TestStream; from: number; last: number }> => {
    const stalled = await openWatch(on.server.connect(), { ...prefixRange('stalled/'), prev_kv: true })
    const reads = await openWatch(on.server.connect(), prefixRange('stalled/'))
    stalled.pause()
    const from = await put()
    let last = from
    for (let i = 1; i < WRITES; i += 1) last = await put()
    const seen = await eventsOf(reads, WRITES)
    assert.deepEqual([seen[0]!.kv.mod_revision, seen.at(-1)!.kv.mod_revision], [from, last])
    reads.cancel()
    return { stalled, from, last }
  }

  it('gets everything that it has missed once it is read again', async () => {
    const { stalled, from, last } = await stall()
    stalled.resume()
    const events = await eventsOf(stalled, WRITES)
    assert.deepEqual(
      events.map(({ kv }) => kv.mod_revision),
      Array.from({ length: last - from + 1 }, (_, i) => from + i),
    )
    stalled.cancel()
  })

  it('is told of a compaction of what it has missed, behind what it got without a gap', async () => {
    const { stalled, from, last } = await stall()
    await on.etcd.call('KV/Compact', { revision: last, physical: true })
    stalled.resume()
    const revisions: number[] = []
    let compacted = 0
    while (compacted === 0 && revisions.at(-1) !== last) {
      const { events, canceled, compact_revision: at } = await stalled.next()
      revisions.push(...events.map(({ kv }) => kv.mod_revision))
      if (canceled) compacted = at
    }
    assert.deepEqual(
      revisions,
      revisions.map((_, i) => from + i),
    )
    assert.ok(compacted === last || revisions.at(-1) === last, `compacted at ${compacted}`)
    // As the API server goes on: with a list, and a watch behind it.
    const { header } = await on.etcd.range('stalled/x')
    const again = await openWatch(on.etcd, { ...prefixRange('stalled/'), start_revision: header.revision + 1 })
    const next = await put()
    assert.deepEqual(
      (await eventsOf(again, 1)).map(({ kv }) => kv.mod_revision),
      [next],
    )
    again.cancel()
    stalled.cancel()
  })
})
