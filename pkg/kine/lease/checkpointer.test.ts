import assert from 'node:assert/strict'
import { mock } from 'node:test'
import type { LeaseId } from '#pkg/kine/backend.ts'
import { LeaseCheckpointer } from '#pkg/kine/lease/checkpointer.ts'
import { Lessor } from '#pkg/kine/lease/lessor.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const INTERVAL_MS = 10_000

describe('LeaseCheckpointer', () => {
  let nowMs: number
  let lessor: Lessor
  let stored: (readonly [id: LeaseId, remainingMs: number])[]
  let away: boolean

  beforeEach(() => {
    mock.timers.enable({ apis: ['setInterval'] })
    nowMs = 0
    stored = []
    away = false
    lessor = new Lessor({ monotonic: () => nowMs })
  })
  afterEach(() => mock.timers.reset())

  const checkpoint = async (ids: readonly LeaseId[], ageMs: number): Promise<void> => {
    await Promise.resolve()
    if (away) throw new Error('away')
    for (const id of ids) {
      const record = lessor.unstored(id, ageMs)
      if (record === undefined) continue
      lessor.put(record)
      stored.push([id, record.remainingMs])
    }
  }

  /** Lets so much time pass, a second at a time. */
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 1000) {
      nowMs += 1000
      mock.timers.tick(1000)
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
    }
  }

  it('stores what is left of a lease that has not been stored for the interval, once for all instances', async () => {
    const instances = [1, 2, 3].map(() => {
      return new LeaseCheckpointer({ intervalMs: INTERVAL_MS }, { lessor, checkpoint, log: silentLogger })
    })
    lessor.put({ id: 1, ttlSeconds: 25, remainingMs: 25_000 })
    lessor.put({ id: 2, ttlSeconds: 5, remainingMs: 5_000 })
    await pass(9_000)
    assert.deepEqual(stored, [])
    await pass(3_000)
    assert.deepEqual(stored, [[1, 14_000]])
    lessor.put({ id: 1, ttlSeconds: 25, remainingMs: 25_000 })
    await pass(9_000)
    assert.equal(stored.length, 1, 'it was renewed')
    away = true
    await pass(5_000)
    away = false
    await pass(2_000)
    assert.deepEqual(stored.slice(1), [[1, 10_000]])
    for (const instance of instances) await instance.stop()
    await pass(60_000)
    assert.equal(stored.length, 2)
  })

  it('stores any number of leases, a thousand in a commit', async () => {
    const sizes: number[] = []
    const counted = (ids: readonly LeaseId[], ageMs: number): Promise<void> => {
      sizes.push(ids.length)
      return checkpoint(ids, ageMs)
    }
    const instance = new LeaseCheckpointer(
      { intervalMs: INTERVAL_MS },
      { lessor, checkpoint: counted, log: silentLogger },
    )
    for (let id = 1; id <= 2500; id += 1) lessor.put({ id, ttlSeconds: 600, remainingMs: 600_000 })
    await pass(13_000)
    assert.deepEqual(sizes, [1000, 1000, 500])
    assert.equal(stored.length, 2500)
    await instance.stop()
  })
})
