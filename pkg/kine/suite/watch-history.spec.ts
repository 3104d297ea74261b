import assert from 'node:assert/strict'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b, TEXTS } from '#pkg/kine/testing/requests.ts'
import { createWatch, eventsOf, messagesUpTo, openWatch, showEvent } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'watch history', (on) => {
  const watchFrom = (prefix: string, revision: number): Promise<TestStream> =>
    openWatch(on.etcd, { ...prefixRange(prefix), start_revision: revision, prev_kv: true })

  it('goes back to any revision and goes on from there', async () => {
    const first = (await on.etcd.put('h/a', '1')).header.revision
    await on.etcd.put('h/a', '2')
    await on.etcd.remove('h/a')
    await on.etcd.put('h/b', '3')
    const stream = await watchFrom('h/', first + 1)
    assert.deepEqual((await eventsOf(stream, 3)).map(showEvent), ['p h/a 2 1', 'd h/a  2', 'p h/b 3'])
    await on.etcd.put('h/c', '4')
    assert.deepEqual((await eventsOf(stream, 1)).map(showEvent), ['p h/c 4'])
  })

  it('begins now when it is given no revision, and at revision 1 with the first change', async () => {
    await on.etcd.put('now/a', 'before')
    const now = await watchFrom('now/', 0)
    await on.etcd.put('now/a', 'after')
    assert.deepEqual((await eventsOf(now, 1)).map(showEvent), ['p now/a after before'])
    const all = await watchFrom('now/', 1)
    assert.deepEqual((await eventsOf(all, 2)).map(showEvent), ['p now/a before', 'p now/a after before'])
  })

  it('begins at the next revision without a gap', async () => {
    const { header } = await on.etcd.put('next/a', '1')
    const stream = await watchFrom('next/', header.revision + 1)
    await on.etcd.put('next/a', '2')
    assert.deepEqual((await eventsOf(stream, 1)).map(showEvent), ['p next/a 2 1'])
  })

  it('keeps to a revision in the future', async () => {
    const { header } = await on.etcd.put('later/x', '1')
    const stream = on.etcd.stream('Watch/Watch')
    const start = header.revision + 3
    const created = await createWatch(stream, { ...prefixRange('later/'), start_revision: start })
    assert.deepEqual([created.canceled, created.header.revision], [false, header.revision])
    for (const value of ['early', 'early too', 'in time', 'afterwards']) await on.etcd.put('later/x', value)
    assert.deepEqual((await eventsOf(stream, 2)).map(showEvent), ['p later/x in time', 'p later/x afterwards'])
  })

  it('knows the value before a change although its version has been compacted', async () => {
    // contracts.md A8: upstream kine sends this event without prev_kv, and the API server fails its watch.
    await on.etcd.put('kept/a', 'v')
    let revision = 0
    for (let i = 0; i < 5; i += 1) revision = (await on.etcd.put('kept/fill', String(i))).header.revision
    await on.etcd.call('KV/Compact', { revision, physical: true })
    const changed = (await on.etcd.put('kept/a', 'w')).header.revision
    await on.etcd.remove('kept/a')
    const stream = await watchFrom('kept/', changed)
    assert.deepEqual((await eventsOf(stream, 2)).map(showEvent), ['p kept/a w v', 'd kept/a  w'])
  })

  it('reads from the compacted revision on, and tells those who come from before it where it is', async () => {
    await on.etcd.put('c/a', 'old')
    await on.etcd.put('c/fill', 'x')
    const at = (await on.etcd.put('c/fill', 'y')).header.revision
    await on.etcd.put('c/a', 'new')
    await on.etcd.call('KV/Compact', { revision: at, physical: true })
    assert.deepEqual((await eventsOf(await watchFrom('c/', at + 1), 1)).map(showEvent), ['p c/a new old'])
    const edge = await eventsOf(await watchFrom('c/', at), 2)
    // The value before the change at the edge itself may be gone.
    assert.deepEqual([showEvent(edge[0]!).slice(0, 10), showEvent(edge[1]!)], ['p c/fill y', 'p c/a new old'])
    for (const revision of [1, at - 1]) {
      const gone = await watchFrom('c/', revision)
      const { canceled, compact_revision: compacted, events } = await gone.next()
      assert.deepEqual([canceled, compacted, events], [true, at, []], `from ${revision}`)
    }
    const negative = on.etcd.stream('Watch/Watch')
    const refused = await createWatch(negative, { ...prefixRange('c/'), start_revision: -1 })
    assert.deepEqual([refused.watch_id, refused.canceled, refused.cancel_reason], [-1, true, TEXTS.compacted])
  })

  it('shows a deletion at the compacted revision', async () => {
    await on.etcd.put('edge/a', 'x')
    const { header } = await on.etcd.remove('edge/a')
    await on.etcd.call('KV/Compact', { revision: header.revision, physical: true })
    const stream = await openWatch(on.etcd, { ...prefixRange('edge/'), start_revision: header.revision })
    assert.deepEqual((await eventsOf(stream, 1)).map(showEvent), ['d edge/a '])
  })

  it('is complete or refused when it starts while the history is compacted', async () => {
    let written = (await on.etcd.put('race/x', '0')).header.revision
    const history = [written]
    for (let i = 1; i < 120; i += 1) history.push((written = (await on.etcd.put('race/x', String(i))).header.revision))
    const starting = history.map(async (from) => {
      const stream = await watchFrom('race/', from)
      const revisions: number[] = []
      for (;;) {
        const { events, canceled, compact_revision: compacted } = await stream.next()
        revisions.push(...events.map(({ kv }) => kv.mod_revision))
        // In the middle of its history too: what came before the refusal is without a gap.
        if (canceled) assert.ok(compacted > from + revisions.length, `from ${from}, compacted at ${compacted}`)
        if (canceled || revisions.at(-1) === written) break
      }
      stream.cancel()
      assert.deepEqual(
        revisions,
        revisions.map((_, i) => from + i),
      )
    })
    for (const i of [30, 60, 90]) await on.etcd.call('KV/Compact', { revision: history[i]! })
    await Promise.all(starting)
  })

  it('has a recreated key begin anew', async () => {
    const first = (await on.etcd.put('again/a', '1')).header.revision
    await on.etcd.remove('again/a')
    await on.etcd.put('again/a', '2')
    await on.etcd.txn({
      success: [{ request_put: { key: b('again/b'), value: b('x') } }, { request_delete_range: { key: b('again/a') } }],
    })
    const stream = await watchFrom('again/', first)
    const events = await eventsOf(stream, 5)
    assert.deepEqual(events.map(showEvent), [
      'p again/a 1',
      'd again/a  1',
      'p again/a 2',
      'p again/b x',
      'd again/a  2',
    ])
    assert.equal(events[2]!.kv.create_revision, events[2]!.kv.mod_revision)
    assert.deepEqual((await messagesUpTo(stream, events[4]!.kv.mod_revision)).length, 1)
  })
})
