import assert from 'node:assert/strict'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import { Lessor } from '#pkg/kine/lease/lessor.ts'

function attached(key: string, lease: number, version = 1): KeyVersion {
  return { key: Buffer.from(key), id: 1, modRevision: 1, createRevision: 1, version, lease, valueSize: 0 }
}

describe('Lessor', () => {
  it('expires leases by the monotonic clock', () => {
    const clock = { monotonic: 0 }
    const lessor = new Lessor({ monotonic: () => clock.monotonic })
    lessor.put({ id: 1, ttlSeconds: 10, remainingMs: 10_000 })
    clock.monotonic += 9_999
    assert.deepEqual([lessor.expired(), lessor.nextExpiryMs()], [[], 1])
    clock.monotonic += 1
    assert.deepEqual(lessor.expired(), [1])
  })

  it('takes what is left of a stored lease, never more than its time to live', () => {
    const lessor = new Lessor({ monotonic: () => 0 })
    lessor.put({ id: 1, ttlSeconds: 10, remainingMs: 3_500 })
    lessor.put({ id: 2, ttlSeconds: 10, remainingMs: -10_000 })
    lessor.put({ id: 3, ttlSeconds: 10, remainingMs: 9_949_999 })
    assert.equal(lessor.state(1)?.remainingSeconds, 3)
    assert.deepEqual(lessor.expired(), [2])
    assert.equal(lessor.state(3)?.remainingSeconds, 10)
  })

  it('tells what is left of a lease that has not been stored for long', () => {
    const clock = { monotonic: 0 }
    const lessor = new Lessor({ monotonic: () => clock.monotonic })
    lessor.put({ id: 1, ttlSeconds: 10, remainingMs: 8_000 })
    clock.monotonic = 2_999
    assert.equal(lessor.unstored(1, 3_000), undefined)
    clock.monotonic = 3_000
    assert.deepEqual(lessor.unstored(1, 3_000), { id: 1, ttlSeconds: 10, remainingMs: 5_000 })
    clock.monotonic = 8_000
    assert.deepEqual([lessor.unstored(1, 3_000), lessor.unstored(2, 0)], [undefined, undefined], 'ended, or not there')
  })

  it('moves keys between leases', () => {
    const lessor = new Lessor({ monotonic: () => 0 })
    for (const id of [1, 2]) lessor.put({ id, ttlSeconds: 10, remainingMs: 10_000 })
    lessor.moveKey(undefined, attached('a', 1))
    lessor.moveKey(undefined, attached('b', 1))
    lessor.moveKey(attached('a', 1), attached('a', 2))
    lessor.moveKey(attached('b', 1), attached('b', 0, 0))
    assert.deepEqual([lessor.keys(1), lessor.keys(2).map(String)], [[], ['a']])
    lessor.put({ id: 2, ttlSeconds: 10, remainingMs: 20_000 })
    assert.deepEqual(lessor.keys(2).map(String), ['a'])
    lessor.drop(2)
    assert.deepEqual([lessor.has(2), lessor.nextExpiryMs()], [false, 10_000])
  })
})
