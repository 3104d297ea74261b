import assert from 'node:assert/strict'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { openWatch, showEvent } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'lease', (on) => {
  const grant = async (id: number, ttl: number): Promise<number> =>
    (await on.etcd.call('Lease/LeaseGrant', { TTL: ttl, ID: id })).TTL
  const timeToLive = (id: number) => on.etcd.call('Lease/LeaseTimeToLive', { ID: id, keys: true })

  it('is granted, listed, told and revoked with its keys in one revision', async () => {
    assert.equal(await grant(1234, 600), 600)
    await rejectsWith(grant(1234, 5), 9, 'etcdserver: lease already exists')
    await rejectsWith(grant(99, 9_000_000_001), 11, 'etcdserver: too large lease TTL')
    assert.equal(await grant(1235, -1), 2, 'the least that etcd grants')
    const { leases } = await on.etcd.call('Lease/LeaseLeases', {})
    assert.ok(leases.some(({ ID: id }) => id === 1234))
    for (const name of ['b', 'a']) await on.etcd.put(`rev/${name}`, name, { lease: 1234 })
    const before = await timeToLive(1234)
    assert.deepEqual([before.grantedTTL, before.keys.map(String).sort()], [600, ['rev/a', 'rev/b']])
    assert.ok(before.TTL > 590 && before.TTL <= 600)
    const watch = await openWatch(on.etcd, { ...prefixRange('rev/'), prev_kv: true })
    const { header } = await on.etcd.call('Lease/LeaseRevoke', { ID: 1234 })
    const { events } = await watch.next()
    watch.cancel()
    assert.deepEqual(events.map(showEvent), ['d rev/a  a', 'd rev/b  b'])
    assert.ok(events.every(({ kv }) => kv.mod_revision === header.revision))
    await rejectsWith(on.etcd.call('Lease/LeaseRevoke', { ID: 1234 }), 5, TEXTS.leaseNotFound)
  })

  it('that is unknown says so, each call in its way', async () => {
    await rejectsWith(on.etcd.call('Lease/LeaseRevoke', { ID: 4711 }), 5, TEXTS.leaseNotFound)
    await rejectsWith(on.etcd.put('x', 'x', { lease: 4711 }), 5, TEXTS.leaseNotFound)
    const { TTL: ttl, grantedTTL: granted, keys } = await timeToLive(4711)
    assert.deepEqual([ttl, granted, keys], [-1, 0, []])
    const stream = on.etcd.stream('Lease/LeaseKeepAlive')
    stream.write({ ID: 4711 })
    const answer = await stream.next()
    stream.end()
    assert.deepEqual([answer.ID, answer.TTL], [4711, 0])
  })

  it('lets a key go when it is written without it', async () => {
    await grant(2001, 600)
    await on.etcd.put('detach', '1', { lease: 2001 })
    assert.equal((await on.etcd.range('detach')).kvs[0]!.lease, 2001)
    await on.etcd.put('detach', '2', { ignore_lease: true })
    assert.equal((await on.etcd.range('detach')).kvs[0]!.lease, 2001)
    await on.etcd.put('detach', '3')
    assert.deepEqual((await timeToLive(2001)).keys, [])
    await on.etcd.call('Lease/LeaseRevoke', { ID: 2001 })
    assert.equal((await on.etcd.range('detach')).count, 1)
  })

  it('moves a key to the lease of its last change', async () => {
    for (const id of [2101, 2102]) await grant(id, 600)
    await on.etcd.put('move', '1', { lease: 2101 })
    await on.etcd.put('move', '2', { lease: 2102 })
    await on.etcd.call('Lease/LeaseRevoke', { ID: 2101 })
    assert.equal((await on.etcd.range('move')).kvs[0]!.lease, 2102)
    await on.etcd.remove('move')
    assert.deepEqual((await timeToLive(2102)).keys, [])
    await on.etcd.put('move', '3')
    await on.etcd.call('Lease/LeaseRevoke', { ID: 2102 })
    assert.equal((await on.etcd.range('move')).count, 1)
  })

  it('is compared by transactions', async () => {
    await grant(2201, 600)
    await on.etcd.put('cmp', '1', { lease: 2201 })
    const holds = async (lease: number, result = 'Equal'): Promise<boolean> =>
      (await on.etcd.txn({ compare: [{ target: 'Lease', result, key: b('cmp'), lease }] })).succeeded
    assert.deepEqual(await Promise.all([holds(2201), holds(0), holds(2200, 'Greater')]), [true, false, true])
  })

  it('is renewed on a stream that answers in order', async () => {
    await grant(2002, 100)
    const stream = on.etcd.stream('Lease/LeaseKeepAlive')
    for (const id of [2002, 77, 2002]) stream.write({ ID: id })
    const answers = [await stream.next(), await stream.next(), await stream.next()]
    stream.end()
    assert.deepEqual(
      answers.map(({ ID: id, TTL: ttl }) => [id, ttl]),
      [
        [2002, 100],
        [77, 0],
        [2002, 100],
      ],
    )
  })

  it('has ids of its own that are all different, and any positive one that is asked for', async () => {
    const granted = await Promise.all(
      Array.from({ length: 50 }, () => on.etcd.exact('Lease/LeaseGrant', { TTL: 600 }) as Promise<{ ID: string }>),
    )
    assert.equal(new Set(granted.map(({ ID: id }) => id)).size, 50)
    assert.ok(granted.every(({ ID: id }) => BigInt(id) > 0n && BigInt(id) < 2n ** 63n))
    for (const id of [2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 53n, 2n ** 53n - 1n].map(String)) {
      await on.etcd.exact('Lease/LeaseGrant', { TTL: 600, ID: id })
      await on.etcd.exact('KV/Put', { key: b(`large/${id}`), value: b('x'), lease: id })
      const { kvs } = (await on.etcd.exact('KV/Range', { key: b(`large/${id}`) })) as { kvs: { lease: string }[] }
      assert.equal(kvs[0]!.lease, id)
      const left = (await on.etcd.exact('Lease/LeaseTimeToLive', { ID: id, keys: true })) as {
        ID: string
        keys: Buffer[]
      }
      assert.deepEqual([left.ID, left.keys.map(String)], [id, [`large/${id}`]])
    }
    const { leases } = (await on.etcd.exact('Lease/LeaseLeases', {})) as { leases: { ID: string }[] }
    const near = leases.map(({ ID: id }) => BigInt(id)).filter((id) => id >= 2n ** 53n - 1n && id <= 2n ** 53n + 1n)
    assert.deepEqual(near.sort(), [2n ** 53n - 1n, 2n ** 53n, 2n ** 53n + 1n])
    await on.etcd.exact('Lease/LeaseRevoke', { ID: String(2n ** 53n + 1n) })
    assert.equal((await on.etcd.call('KV/Range', { ...prefixRange('large/'), count_only: true })).count, 3)
  })

  it('with 1000 keys takes them all with it at once', async () => {
    await grant(3000, 600)
    for (let from = 0; from < 1000; from += 100) {
      const ops = Array.from({ length: 100 }, (_, i) => put(`bulk/${from + i}`, 'x', { lease: 3000 }))
      await on.etcd.txn({ success: ops })
    }
    assert.equal((await timeToLive(3000)).keys.length, 1000)
    const watch = await openWatch(on.etcd, { ...prefixRange('bulk/'), prev_kv: true })
    const { header } = await on.etcd.call('Lease/LeaseRevoke', { ID: 3000 })
    const { events } = await watch.next()
    watch.cancel()
    assert.equal(events.length, 1000)
    assert.ok(events.every(({ kv, prev_kv: previous }) => kv.mod_revision === header.revision && previous !== null))
    assert.equal((await on.etcd.call('KV/Range', { ...prefixRange('bulk/'), count_only: true })).count, 0)
  })

  it('expires: never early, at most two seconds late, with deletions that watchers see', async () => {
    const watch = await openWatch(on.etcd, { ...prefixRange('exp/'), prev_kv: true, filters: ['Noput'] })
    const grantedAt = performance.now()
    await grant(2003, 2)
    await Promise.all(Array.from({ length: 50 }, (_, i) => on.etcd.put(`exp/${i}`, String(i), { lease: 2003 })))
    const { events } = await watch.next()
    const afterMs = performance.now() - grantedAt
    watch.cancel()
    assert.ok(afterMs >= 2000 && afterMs < 4000, `after ${Math.round(afterMs)} ms`)
    assert.equal(events.length, 50)
    assert.ok(events.every((event) => event.prev_kv !== null))
    assert.equal((await on.etcd.call('KV/Range', { ...prefixRange('exp/'), count_only: true })).count, 0)
    const compare = { target: 'Lease', result: 'Equal', key: b('exp/1'), lease: 0 }
    assert.equal((await on.etcd.txn({ compare: [compare] })).succeeded, true)
    assert.equal((await timeToLive(2003)).TTL, -1)
  })

  it('lives on as long as it is renewed', async () => {
    await grant(2004, 2)
    await on.etcd.put('renewed', 'x', { lease: 2004 })
    const stream = on.etcd.stream('Lease/LeaseKeepAlive')
    for (let i = 0; i < 6; i += 1) {
      stream.write({ ID: 2004 })
      assert.equal((await stream.next()).TTL, 2)
      await sleep(500)
    }
    assert.equal((await on.etcd.range('renewed')).count, 1)
    stream.end()
  })
})
