import assert from 'node:assert/strict'
import type { ChangeEvent } from '#pkg/kine/backend.ts'
import { Ring } from '#pkg/kine/ring/ring.ts'

function event(modRevision: number, sub = 0, bytes = 100): ChangeEvent {
  const id = modRevision * 1024 + sub
  const now = { key: Buffer.from('k'), id, modRevision, createRevision: 1, version: 1, lease: 0, valueSize: bytes }
  return { now, kv: Buffer.alloc(bytes), previous: undefined, previousKv: undefined }
}

function revisions(ring: Ring, from: number): number[] {
  const seen: number[] = []
  ring.scan(from, ({ now }) => seen.push(now.modRevision) > 0)
  return seen
}

describe('Ring', () => {
  it('finds events by id and scans from any revision', () => {
    const ring = new Ring({ maxBytes: 1e6 }, 5)
    ring.append([event(5), event(6), event(6, 1), event(7)])
    assert.equal(ring.firstRevision, 5)
    assert.deepEqual(revisions(ring, 6), [6, 6, 7])
    assert.deepEqual(revisions(ring, 8), [])
    assert.equal(ring.get(6 * 1024 + 1)?.now.modRevision, 6)
    assert.equal(ring.get(6 * 1024 + 2), undefined)
  })

  it('drops whole revisions from the old end and stays within its bytes', () => {
    const ring = new Ring({ maxBytes: 9000 }, 1)
    for (let revision = 1; revision <= 5000; revision += 1) {
      ring.append([event(revision), event(revision, 1)])
      assert.ok(ring.bytes <= 9000)
      assert.equal(revisions(ring, 0)[0], ring.firstRevision)
    }
    assert.equal(ring.length, 10)
    assert.deepEqual(revisions(ring, 4999), [4999, 4999, 5000, 5000])
    assert.equal(ring.firstRevision, 4996)
  })

  it('is empty rather than too large after one huge revision', () => {
    const ring = new Ring({ maxBytes: 9000 }, 1)
    ring.append([event(1), event(2, 0, 10_000)])
    assert.deepEqual([ring.length, ring.bytes, ring.firstRevision], [0, 0, 3])
  })
})
