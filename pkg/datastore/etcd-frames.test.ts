import { strict as assert } from 'node:assert'
import { decodeChanges, encodeBatch, encodeEnd } from '#pkg/datastore/etcd-frames.ts'
import type { EtcdChange } from '#pkg/datastore/etcd-frames.ts'

const changes: readonly EtcdChange[] = [
  {
    revision: 2 ** 40,
    sub: 0,
    createRevision: 7,
    version: 3,
    lease: 2n ** 62n + 1n,
    key: Buffer.from([0, 255]),
    value: Buffer.alloc(0),
  },
  {
    revision: 2 ** 40,
    sub: 1,
    createRevision: 0,
    version: 0,
    lease: -5,
    key: Buffer.from('b'),
    value: Buffer.from('value'),
  },
]
const END = Buffer.alloc(8)

async function decode(bytes: Buffer, chunkBytes: number): Promise<readonly EtcdChange[]> {
  async function* chunks(): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes)
    await Promise.resolve()
  }
  return (await Array.fromAsync(decodeChanges(chunks()))).flat()
}

describe('frames of changes', () => {
  const batch = encodeBatch(changes)
  const stream = Buffer.concat([batch.subarray(0, -8), END])

  it('survive however they are cut', async () => {
    for (const chunkBytes of [1, 7, 48, stream.length]) assert.deepEqual(await decode(stream, chunkBytes), changes)
  })

  it('end with a mark that asks for a commit', () => {
    assert.equal(batch.readBigInt64LE(batch.length - 8), -1n)
  })

  it('are not complete without their end', async () => {
    await assert.rejects(decode(stream.subarray(0, -1), 10), /end in the middle/)
    await assert.rejects(decode(stream.subarray(0, 20), 10), /end in the middle/)
  })

  it('are followed by the leases, with at least a second to live', () => {
    const leases = [{ id: 2n ** 62n + 1n, ttlSeconds: 60, remainingMs: -5 }]
    const end = encodeEnd({ revision: 5, compactRevision: -1, leases })
    assert.equal(end.readBigInt64LE(), 0n)
    assert.deepEqual(JSON.parse(end.subarray(8).toString()), {
      revision: 5,
      compactRevision: -1,
      leases: [{ id: '4611686018427387905', ttlSeconds: 60, remainingSeconds: 1 }],
    })
  })
})
