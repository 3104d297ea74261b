import assert from 'node:assert/strict'
import type { LeaseId } from '#pkg/kine/backend.ts'
import { isKind, put, settle, Sink, watch } from '#pkg/kine/testing/store-requests.ts'
import { TwoStores, read, until, write } from '#pkg/kine/testing/two-stores.ts'

describe('two stores on one database: leases', () => {
  const on = TwoStores.forEach()

  it('share leases: granted here, used, renewed and seen there', async () => {
    const id: LeaseId = 2n ** 60n + 1n
    await on.a.leaseGrant(id, 600)
    await write(on.b, put('l', 'x', id))
    assert.deepEqual((await on.a.leaseTimeToLive(id))?.keys.map(String), ['l'])
    assert.deepEqual(await on.b.leases(), [id])
    await assert.rejects(on.b.leaseGrant(id, 60), isKind('lease-exists'))
    assert.equal((await on.b.leaseKeepAlive(id))?.ttlSeconds, 600)
    await on.b.leaseRevoke(id)
    assert.deepEqual([await on.a.leases(), await read(on.a)], [[], []])
    await assert.rejects(write(on.a, put('m', 'x', id)), isKind('lease-not-found'))
    assert.equal(await on.a.leaseKeepAlive(id), undefined)
  })

  it('expire a lease once', async function () {
    this.timeout(10_000)
    const sink = new Sink()
    watch(on.b.hub.open(sink), '\0', '')
    await on.a.leaseGrant(7, 2)
    await write(on.a, put('l', 'x', 7))
    const grantedAt = performance.now()
    await until(async () => (await on.a.leases()).length === 0 && (await on.b.leases()).length === 0)
    assert.ok(performance.now() - grantedAt > 1900)
    await settle()
    assert.deepEqual(sink.lines, ['2 l=x', '3 l=deleted was x'])
    assert.equal(on.database.head.revision, 3)
  })

  it('do not expire a lease that the other one has renewed meanwhile', async function () {
    this.timeout(10_000)
    await on.a.leaseGrant(7, 2)
    await on.b.leases()
    // B hears nothing and takes the lease for expired until its own revocation is refused.
    const [follower] = [...on.database.followers].slice(1)
    assert.ok(follower)
    on.database.followers.delete(follower)
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      assert.equal((await on.a.leaseKeepAlive(7))?.id, 7)
    }
    assert.deepEqual(await on.b.leases(), [7])
  })

  it('take over a list of leases when tombstones are gone', async () => {
    for (const id of [1, 2, 3]) await on.a.leaseGrant(id, 600)
    await on.b.leases()
    on.dialectB.away = true
    await on.a.leaseRevoke(2)
    on.database.pruneLeases()
    await on.a.leaseGrant(4, 600)
    on.dialectB.away = false
    assert.deepEqual((await on.b.leases()).toSorted(), [1, 3, 4])
  })

  it('store what is left of a lease from time to time, one for both, and count on from there', async () => {
    const options = { leaseCheckpointMs: 200 }
    await Promise.all([on.a.close(), on.b.close()])
    on.a = await on.open(on.dialectA, options)
    on.b = await on.open(on.dialectB, options)
    await on.a.leaseGrant(7, 600)
    const left = (): number => on.database.leases.get(7)?.remainingMs ?? NaN
    assert.equal(left(), 600_000)
    const { commits } = on.database
    for (const least of [1, 2, 3]) await until(() => on.database.commits === commits + least)
    assert.ok(left() <= 600_000 - 3 * 200, `${left()} ms left`)
    await Promise.all([on.a.close(), on.b.close()])
    const stored = left()
    // Time in which nobody is there to count it.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    on.a = await on.open(on.dialectA)
    on.b = await on.open(on.dialectB)
    const remaining = (await on.a.leaseTimeToLive(7))?.remainingSeconds
    assert.ok(remaining === Math.floor(stored / 1000) || remaining === Math.floor(stored / 1000) - 1, String(remaining))
    assert.equal((await on.b.leaseKeepAlive(7))?.ttlSeconds, 600)
    assert.equal(left(), 600_000)
  })
})
