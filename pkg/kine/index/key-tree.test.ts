import assert from 'node:assert/strict'
import { KeyTree } from '#pkg/kine/index/key-tree.ts'

interface Item {
  readonly key: Buffer
  readonly value: number
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
    const tree = new KeyTree<Item>()
    const model = new Map<number, number>()
    for (let step = 0; step < 20_000; step += 1) {
      const n = next(3000)
      // Phases of growing and shrinking, so that nodes split and merge.
      if (next(10) < (Math.floor(step / 4000) % 2 === 0 ? 7 : 3)) {
        tree.set({ key: keyOf(n), value: step })
        model.set(n, step)
      } else assert.equal(tree.delete(keyOf(n)), model.delete(n))
      if (step % 500 !== 0) continue
      const sorted = [...model].sort(([a], [b]) => a - b)
      assert.equal(tree.size, model.size)
      assert.deepEqual(
        tree.list(everything).map(({ key, value }) => [key.readUInt16BE(), value]),
        sorted,
      )
      const [from, to] = [next(3000), next(3000)]
      const inside = sorted.filter(([key]) => key >= from && key < to)
      const range = { start: keyOf(from), end: keyOf(to) }
      assert.equal(tree.count(range), inside.length)
      assert.deepEqual(
        tree.list(range, 5).map(({ value }) => value),
        inside.slice(0, 5).map(([, value]) => value),
      )
      assert.equal(tree.get(keyOf(from))?.value, model.get(from))
    }
  })

  it('orders by bytes: NUL, 0xff and prefixes', () => {
    const tree = new KeyTree<Item>()
    const keys = ['', '00', '0000', '00ff', '61', '6100', '6161', '7f', '80', 'c3a9', 'ff', 'ffff']
    for (const hex of keys.toReversed()) tree.set({ key: Buffer.from(hex, 'hex'), value: 0 })
    assert.deepEqual(
      tree.list(everything).map(({ key }) => key.toString('hex')),
      keys,
    )
    assert.equal(tree.count({ start: Buffer.from('61', 'hex'), end: Buffer.from('62', 'hex') }), 3)
    assert.equal(tree.count({ start: Buffer.from('61', 'hex') }), 1)
    assert.equal(tree.count({ start: Buffer.from('80', 'hex'), end: Buffer.alloc(0) }), 4)
  })

  it('keeps leaves full when keys arrive in order', () => {
    const tree = new KeyTree<Item>()
    for (let i = 0; i < 50_000; i += 1) tree.set({ key: keyOf(i), value: i })
    assert.equal(tree.size, 50_000)
    assert.equal(tree.count({ start: keyOf(10_000), end: keyOf(40_000) }), 30_000)
    for (let i = 0; i < 50_000; i += 1) assert.ok(tree.delete(keyOf(i)))
    assert.deepEqual([tree.size, tree.list(everything)], [0, []])
  })
})
