import assert from 'node:assert/strict'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { EventMessage } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { modIs, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import type { TestStore } from '#pkg/kine/testing/targets.ts'
import { eventsOf, messagesUpTo, openWatch } from '#pkg/kine/testing/watching.ts'
import { SHARED_TARGETS } from '#pkg/kine/suite/targets.ts'

/** Whoever polls does so less and less while nothing happens. */
const QUIET_MS = 400

for (const target of SHARED_TARGETS) {
  describe(`two instances on one ${target.name}`, () => {
    let store: TestStore
    let a: EtcdClient
    let b: EtcdClient
    const both = (): readonly EtcdClient[] => [a, b]

    before(async () => {
      store = await target.create()
      a = (await store.serve()).connect()
      b = (await store.serve()).connect()
    })
    after(() => store[Symbol.asyncDispose]())

    it('read what the other has written as soon as it was answered', async () => {
      for (let i = 0; i < 100; i += 1) {
        const [writer, reader] = i % 2 === 0 ? [a, b] : [b, a]
        const { header } = await writer.put('fresh', String(i))
        const read = await reader.range('fresh')
        assert.deepEqual([read.kvs[0]!.value.toString(), read.header.revision], [String(i), header.revision])
        const { succeeded } = await reader.txn({ compare: [modIs('fresh', header.revision)] })
        assert.equal(succeeded, true, 'a transaction that only compares is no older')
      }
    })

    // How soon is a figure of `make bench-kine`.
    it('see events of the other, after a time without any too', async () => {
      for (const [i, [writer, reader]] of [[a, b] as const, [b, a] as const].entries()) {
        const watch = await openWatch(reader, prefixRange(`other/${i}`))
        for (let n = 0; n < 25; n += 1) {
          if (n % 8 === 7) await sleep(QUIET_MS)
          const { header } = await writer.put(`other/${i}`, String(n))
          const { events } = await watch.next()
          assert.deepEqual(revisionsOf(events), [header.revision])
        }
        watch.cancel()
      }
    })

    it('give out every revision once, without a gap, while both write', async () => {
      const first = (await a.range('x')).header.revision
      const writers = [a, b, a, b].map(async (etcd, writer) => {
        const revisions: number[] = []
        for (let i = 0; i < 40; i += 1) revisions.push((await etcd.put(`gap/${writer}`, String(i))).header.revision)
        assert.deepEqual(
          revisions,
          revisions.toSorted((x, y) => x - y),
          'in the order of its answers',
        )
        return revisions
      })
      const revisions = (await Promise.all(writers)).flat().sort((x, y) => x - y)
      assert.deepEqual(
        revisions,
        revisions.map((_, i) => first + 1 + i),
      )
    })

    it('show a list at R and a watch from R + 1 that make the whole history, while both write', async () => {
      let over = 0
      const writers = both().map(async (etcd, writer) => {
        for (let i = 0; i < 80; i += 1) await etcd.put(`whole/${writer}/${i % 4}`, `${writer} ${i}`)
        over += 1
      })
      const observers: Promise<void>[] = []
      for (let round = 0; over < 2 && round < 40; round += 1) observers.push(observe(both()[round % 2]!, 'whole/'))
      await Promise.all([...writers, ...observers])
    })

    it('lose nothing while one holds a commit open, whatever the other does meanwhile', async () => {
      const from = (await a.put('held/before', '1')).header.revision + 1
      const range = { ...prefixRange('held/'), start_revision: from }
      const watches = await Promise.all(both().map((etcd) => openWatch(etcd, range)))
      const held = await store.holdHead()
      // A lock that is held for too long makes a write fail; its client then asks again.
      const writes = Promise.all(
        both().flatMap((etcd, i) => [1, 2, 3].map((n) => putPatiently(etcd, `held/${i}/${n}`))),
      )
      try {
        await sleep(300)
        // Reads do not wait for the lock, and must not claim revisions that are still open.
        const { header, count } = await b.call('KV/Range', prefixRange('held/'))
        assert.deepEqual([header.revision, count], [from - 1, 1])
        assert.ok(watches.every(({ waiting }) => waiting === 0))
      } finally {
        await held[Symbol.asyncDispose]()
      }
      const acknowledged = await writes
      const { header, kvs } = await a.call('KV/Range', prefixRange('held/'))
      for (const watch of watches) {
        const events = (await messagesUpTo(watch, header.revision)).flatMap((message) => message.events)
        const revisions = revisionsOf(events)
        assert.deepEqual(
          revisions,
          revisions.map((_, i) => from + i),
        )
        for (const revision of acknowledged) assert.ok(revisions.includes(revision), `${revision} is missing`)
        const newest = new Map(events.map(({ kv }) => [kv.key.toString(), kv.mod_revision]))
        for (const kv of kvs.filter(({ mod_revision: revision }) => revision >= from))
          assert.equal(newest.get(kv.key.toString()), kv.mod_revision)
        watch.cancel()
      }
    })

    it('let one win each round of a race for a key', async () => {
      let revision = 0
      for (let round = 0; round < 25; round += 1) {
        const asked = [a, b, a, b].map((etcd) =>
          etcd.txn({ compare: [modIs('race', revision)], success: [put('race', String(round))] }),
        )
        const won = (await Promise.all(asked)).filter(({ succeeded }) => succeeded)
        assert.equal(won.length, 1, `round ${round}`)
        revision = won[0]!.header.revision
      }
    })

    it('share leases: what one grants the other attaches, renews, tells and revokes', async () => {
      await a.call('Lease/LeaseGrant', { TTL: 600, ID: 5001 })
      await b.put('shared/b', '1', { lease: 5001 })
      await a.put('shared/a', '1', { lease: 5001 })
      for (const etcd of both()) {
        const { keys, grantedTTL } = await etcd.call('Lease/LeaseTimeToLive', { ID: 5001, keys: true })
        assert.deepEqual([keys.map(String).sort(), grantedTTL], [['shared/a', 'shared/b'], 600])
        const { leases } = await etcd.call('Lease/LeaseLeases', {})
        assert.ok(leases.some(({ ID: id }) => id === 5001))
      }
      const stream = b.stream('Lease/LeaseKeepAlive')
      stream.write({ ID: 5001 })
      assert.equal((await stream.next()).TTL, 600)
      stream.end()
      await b.call('Lease/LeaseRevoke', { ID: 5001 })
      await rejectsWith(a.put('shared/c', '1', { lease: 5001 }), 5, TEXTS.leaseNotFound)
      await rejectsWith(a.call('Lease/LeaseRevoke', { ID: 5001 }), 5, TEXTS.leaseNotFound)
      assert.equal((await a.call('KV/Range', { ...prefixRange('shared/'), count_only: true })).count, 0)
      await a.call('Lease/LeaseGrant', { TTL: 600, ID: 5001 })
      assert.deepEqual((await b.call('Lease/LeaseTimeToLive', { ID: 5001, keys: true })).keys, [])
    })

    it('end a lease once, never early, by whichever instance', async () => {
      const watches = await Promise.all(
        both().map((etcd) => openWatch(etcd, { ...prefixRange('once/'), prev_kv: true })),
      )
      const grantedAt = performance.now()
      const before = (await a.range('x')).header.revision
      for (const [i, etcd] of both().entries()) {
        await etcd.call('Lease/LeaseGrant', { TTL: 2, ID: 5100 + i })
        await etcd.put(`once/${i}`, 'x', { lease: 5100 + i })
      }
      for (const watch of watches) {
        const events = await eventsOf(watch, 4)
        assert.ok(performance.now() - grantedAt >= 2000)
        assert.deepEqual(
          events.slice(2).map(({ type }) => type),
          ['Delete', 'Delete'],
        )
      }
      await sleep(500)
      const { header, count } = await b.call('KV/Range', prefixRange('once/'))
      assert.deepEqual([header.revision, count], [before + 4, 0], 'two puts, two deletions')
      for (const watch of watches) {
        assert.equal(watch.waiting, 0)
        watch.cancel()
      }
    })

    it('keep a lease that one renews alive for the other', async () => {
      await a.call('Lease/LeaseGrant', { TTL: 2, ID: 5200 })
      await a.put('alive', 'x', { lease: 5200 })
      const stream = b.stream('Lease/LeaseKeepAlive')
      for (let i = 0; i < 6; i += 1) {
        stream.write({ ID: 5200 })
        assert.equal((await stream.next()).TTL, 2)
        await sleep(500)
      }
      stream.end()
      assert.equal((await a.range('alive')).count, 1)
    })

    it('compact once, and both know', async () => {
      const first = (await a.put('compact', '1')).header.revision
      const { header } = await b.put('compact', '2')
      const asked = both().map((etcd) => etcd.call('KV/Compact', { revision: header.revision }))
      const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === 'rejected')
      assert.equal(refused.length, 1)
      for (const etcd of both()) {
        await rejectsWith(etcd.range('compact', { revision: first }), 11, TEXTS.compacted)
        const gone = await openWatch(etcd, { ...prefixRange('compact'), start_revision: first })
        assert.equal((await gone.next()).compact_revision, header.revision)
        gone.cancel()
      }
    })

    it('are joined by a third that knows everything', async () => {
      const c = (await store.serve()).connect()
      const everything = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
      const [own, other] = [await c.call('KV/Range', everything), await a.call('KV/Range', everything)]
      assert.deepEqual(own.kvs, other.kvs)
      assert.equal(own.header.cluster_id, other.header.cluster_id)
      const watch = await openWatch(a, prefixRange('third/'))
      await c.put('third/x', '1')
      assert.equal((await watch.next()).events.length, 1)
      watch.cancel()
    })
  })
}

/** Resolves with the revision of the write that was answered. */
async function putPatiently(etcd: EtcdClient, key: string): Promise<number> {
  for (let tries = 0; ; tries += 1) {
    try {
      return (await etcd.put(key, 'x')).header.revision
    } catch (error) {
      if ((error as { readonly code?: number }).code !== UNAVAILABLE || tries > 20) throw error
      await sleep(50)
    }
  }
}

const UNAVAILABLE = 14

const revisionsOf = (events: readonly EventMessage[]): number[] => events.map(({ kv }) => kv.mod_revision)

/** A list, then a watch behind it: the state by the events must be that of a later list. */
async function observe(etcd: EtcdClient, prefix: string): Promise<void> {
  const { header, kvs } = await etcd.call('KV/Range', prefixRange(prefix))
  const state = new Map(kvs.map((kv) => [kv.key.toString(), kv]))
  const watch = await openWatch(etcd, { ...prefixRange(prefix), start_revision: header.revision + 1 })
  const later = await etcd.call('KV/Range', prefixRange(prefix))
  const events = (await messagesUpTo(watch, later.header.revision)).flatMap((message) => message.events)
  watch.cancel()
  for (const { kv } of events) if (kv.mod_revision <= later.header.revision) state.set(kv.key.toString(), kv)
  assert.deepEqual(
    [...state.values()].sort((x, y) => x.key.compare(y.key)),
    later.kvs,
  )
}
