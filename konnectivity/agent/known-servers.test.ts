import assert from 'node:assert/strict'
import { KnownServers } from '#konnectivity/agent/known-servers.ts'

describe('KnownServers', () => {
  const server = (serverId: string) => ({ serverId, retiring: false })

  it('keeps the oldest connection to each server, and lets a retiring one be replaced', () => {
    const known = new KnownServers()
    const [first, second] = [server('a'), server('a')]
    assert.equal(known.add(first, 1), true)
    assert.equal(known.add(second, 1), false)
    first.retiring = true
    assert.equal(known.connected, 0)
    assert.equal(known.add(second, 1), true)
    assert.equal(known.connected, 1)
    known.remove(first)
    assert.equal(known.has('a'), true)
    known.remove(second)
    assert.equal(known.connected, 0)
  })

  it('believes the server that connected last, within reason', () => {
    const known = new KnownServers()
    assert.equal(known.wanted, 1)
    known.add(server('a'), 3)
    assert.equal(known.wanted, 3)
    known.add(server('b'), 2)
    assert.equal(known.wanted, 2)
    known.add(server('c'), Number.NaN)
    assert.equal(known.wanted, 2)
    known.add(server('d'), 1e9)
    assert.equal(known.wanted, 1_000)
    known.add(server('e'), -4)
    assert.equal(known.wanted, 1)
  })

  it('counts leases alone, or the larger number', () => {
    let leases: number | undefined
    for (const [source, expected] of [
      ['default', [3, 2, 1]],
      ['max', [3, 3, 3]],
    ] as const) {
      const known = new KnownServers({ source, fromLeases: () => leases })
      known.add(server('a'), 3)
      const counts = [undefined, 2, 0].map((count) => {
        leases = count
        return known.wanted
      })
      assert.deepEqual(counts, expected, source)
    }
  })
})
