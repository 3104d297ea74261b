import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { RefusalLimit } from '#pkg/api/refusal-limit.ts'

describe('refusals of a source', () => {
  const refuseTimes = (limit: RefusalLimit, address: string, times: number, now: number): void => {
    for (let i = 0; i < times; i += 1) limit.refuse(address, now)
  }

  it('are counted from the first one on, for a while', () => {
    const limit = new RefusalLimit({ refusals: 3, windowMs: 1_000 })
    refuseTimes(limit, '10.0.0.1', 2, 0)
    assert.equal(limit.blockedMs('10.0.0.1', 0), 0)
    limit.refuse('10.0.0.1', 400)
    assert.equal(limit.blockedMs('10.0.0.1', 400), 600)
    assert.equal(limit.blockedMs('10.0.0.2', 400), 0)
    assert.equal(limit.blockedMs('10.0.0.1', 1_000), 0)
    limit.refuse('10.0.0.1', 1_000)
    assert.equal(limit.blockedMs('10.0.0.1', 1_000), 0)
  })

  it('are one for an IPv4 address in either form, and for the /64 of an IPv6 one', () => {
    const limit = new RefusalLimit({ refusals: 1, windowMs: 1_000 })
    limit.refuse('::ffff:10.0.0.1', 0)
    assert.ok(limit.blockedMs('10.0.0.1', 0) > 0)
    limit.refuse('2001:db8:0:1::5', 0)
    assert.ok(limit.blockedMs('2001:db8:0:1:ffff::9', 0) > 0)
    assert.equal(limit.blockedMs('2001:db8:0:2::5', 0), 0)
  })

  it('are remembered of so many sources', () => {
    const limit = new RefusalLimit({ refusals: 1, windowMs: 1_000, sources: 2 })
    for (const address of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) limit.refuse(address, 0)
    assert.equal(limit.blockedMs('10.0.0.1', 0), 0)
    assert.ok(limit.blockedMs('10.0.0.3', 0) > 0)
  })
})
