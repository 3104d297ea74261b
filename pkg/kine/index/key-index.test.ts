import assert from 'node:assert/strict'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import { KeyIndex } from '#pkg/kine/index/key-index.ts'

const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }

function version(key: string, modRevision: number, more: Partial<KeyVersion> = {}): KeyVersion {
  return {
    key: Buffer.from(key),
    id: modRevision * 1024,
    modRevision,
    createRevision: modRevision,
    version: 1,
    lease: 0,
    valueSize: 0,
    ...more,
  }
}

describe('KeyIndex', () => {
  it('keeps the newest version of a key, and its tombstone for reads at older revisions', () => {
    const index = new KeyIndex()
    index.apply(version('a', 2))
    index.apply(version('b', 3))
    index.apply(version('a', 4, { version: 0, createRevision: 2 }))
    index.apply(version('c', 5))
    assert.deepEqual([index.size, index.count(everything), index.get(Buffer.from('a'))], [2, 2, undefined])
    const { candidates, unknown } = index.at(everything, 3)
    assert.deepEqual(
      candidates.map(({ key, modRevision }) => `${String(key)}@${modRevision}`),
      ['a@4', 'b@3', 'c@5'],
    )
    assert.equal(unknown, 2)
    assert.deepEqual(
      index.at(everything, 4).candidates.map(({ key }) => String(key)),
      ['b', 'c'],
    )
  })

  it('forgets compacted tombstones in portions, but keeps those at the compact revision', () => {
    const index = new KeyIndex()
    for (let i = 0; i < 10; i += 1) index.apply(version(`k${i}`, i + 10, { version: 0 }))
    let from = index.forgetTombstones(15, undefined, 4)
    assert.equal(from?.toString(), 'k3\0')
    from = index.forgetTombstones(15, from, 4)
    assert.equal(index.forgetTombstones(15, from, 4), undefined)
    assert.deepEqual(
      index.at(everything, 1).candidates.map(({ key }) => String(key)),
      ['k5', 'k6', 'k7', 'k8', 'k9'],
    )
  })

  it('drops the tombstone of a key that lives again', () => {
    const index = new KeyIndex()
    index.apply(version('a', 2))
    index.apply(version('a', 3, { version: 0 }))
    index.apply(version('a', 4))
    assert.deepEqual(
      index.at(everything, 1).candidates.map(({ modRevision }) => modRevision),
      [4],
    )
  })
})
