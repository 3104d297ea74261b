import assert from 'node:assert/strict'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import { KeyTree } from '#pkg/kine/index/key-tree.ts'

/** A version that is told apart by its row id. */
function item(key: Buffer, id: number): KeyVersion {
  return { key, id, modRevision: id + 1, createRevision: 1, version: 2, lease: 0, valueSize: 3 }
}

/** A small generator, so that a failure can be repeated. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return state % below
  }
}

const keyOf = (n: number): Buffer => Buffer.from([n >> 8, n & 0xff])
const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }

describe('KeyTree', () => {
  it('behaves as a sorted array under random inserts, replacements and removals', () => {
    const next = random(7)
    const tree = new KeyTree()
    const model = new Map<number, number>()
    for (let step = 0; step < 20_000; step += 1) {
      const n = next(3000)
      // Phases of growing and shrinking, so that nodes split and merge.
      if (next(10) < (Math.floor(step / 4000) % 2 === 0 ? 7 : 3)) {
        tree.set(item(keyOf(n), step))
        model.set(n, step)
      } else assert.equal(tree.delete(keyOf(n)), model.delete(n))
      if (step % 500 !== 0) continue
      const sorted = [...model].sort(([a], [b]) => a - b)
      assert.equal(tree.size, model.size)
      assert.deepEqual(
        tree.list(everything).map(({ key, id }) => [key.readUInt16BE(), id]),
        sorted,
      )
      const [from, to] = [next(3000), next(3000)]
      const inside = sorted.filter(([key]) => key >= from && key < to)
      const range = { start: keyOf(from), end: keyOf(to) }
      assert.equal(tree.count(range), inside.length)
      assert.deepEqual(
        tree.list(range, 5).map(({ id }) => id),
        inside.slice(0, 5).map(([, value]) => value),
      )
      assert.equal(tree.get(keyOf(from))?.id, model.get(from))
    }
  })

  it('orders by bytes: NUL, 0xff and prefixes', () => {
    const tree = new KeyTree()
    const keys = ['', '00', '0000', '00ff', '61', '6100', '6161', '7f', '80', 'c3a9', 'ff', 'ffff']
    for (const hex of keys.toReversed()) tree.set(item(Buffer.from(hex, 'hex'), 0))
    assert.deepEqual(
      tree.list(everything).map(({ key }) => key.toString('hex')),
      keys,
    )
    assert.equal(tree.count({ start: Buffer.from('61', 'hex'), end: Buffer.from('62', 'hex') }), 3)
    assert.equal(tree.count({ start: Buffer.from('61', 'hex') }), 1)
    assert.equal(tree.count({ start: Buffer.from('80', 'hex'), end: Buffer.alloc(0) }), 4)
  })

  it('takes keys that arrive in order', function () {
    this.timeout(20_000)
    const tree = new KeyTree()
    for (let i = 0; i < 20_000; i += 1) tree.set(item(keyOf(i), i))
    assert.equal(tree.size, 20_000)
    assert.equal(tree.count({ start: keyOf(5_000), end: keyOf(15_000) }), 10_000)
    for (let i = 0; i < 20_000; i += 1) assert.ok(tree.delete(keyOf(i)))
    assert.deepEqual([tree.size, tree.list(everything)], [0, []])
  })

  it('gives back every field, and keys that later changes leave alone', () => {
    const tree = new KeyTree()
    const leases = [0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 32), 2 ** 53 - 1, 2n ** 60n + 1n, -(2n ** 63n)]
    const versions = leases.map((lease, i) => ({
      key: Buffer.from(`key-${i}`),
      id: 2 ** 53 - 1 - i,
      modRevision: 2 ** 43 + i,
      createRevision: 2 ** 42 + i,
      version: 2 ** 33 + i,
      lease,
      valueSize: 2 ** 32 - 1 - i,
    }))
    for (const version of versions) tree.set(version)
    const listed = tree.list(everything)
    assert.deepEqual(listed, versions)
    for (let i = 0; i < 200; i += 1) tree.set(item(Buffer.from(`key-${i}x`), i))
    for (const { key } of versions) tree.delete(key)
    assert.deepEqual(listed, versions)
  })

  it('finds keys that share a beginning with all of a leaf, or a part of it', () => {
    const tree = new KeyTree()
    for (let i = 0; i < 40; i += 1) tree.set(item(Buffer.from(`/registry/pods/${i + 10}`), i))
    const below = ['', '/', '/registry', '/registry/pods/', '/registry/oods/99', '/registry/pods/0']
    const above = ['0', '/registry/pods0', '/registry/pods/9', '/registry/qods/00', '/s']
    for (const key of [...below, ...above]) {
      assert.equal(tree.get(Buffer.from(key)), undefined, key)
      const behind = tree.count({ start: Buffer.from(key), end: Buffer.alloc(0) })
      assert.equal(behind, above.includes(key) ? 0 : 40, key)
    }
    assert.equal(tree.get(Buffer.from('/registry/pods/31'))?.id, 21)
  })
})
