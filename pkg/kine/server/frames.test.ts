import assert from 'node:assert/strict'
import { FrameReader, PREFIX_BYTES, writePrefix } from '#pkg/kine/server/frames.ts'
import { encodeMessage, GrpcError, toStatus } from '#pkg/kine/server/status.ts'
import { StoreError } from '#pkg/kine/errors.ts'

/** A message with its prefix. */
function frame(message: Buffer): Buffer {
  const framed = Buffer.alloc(PREFIX_BYTES + message.length)
  writePrefix(framed, message.length)
  message.copy(framed, PREFIX_BYTES)
  return framed
}

/** Every message that is complete. */
function all(reader: FrameReader): Buffer[] {
  const messages: Buffer[] = []
  for (let message = reader.next(); message !== undefined; message = reader.next()) messages.push(message)
  return messages
}

describe('FrameReader', () => {
  const messages = ['', 'a', 'x'.repeat(300), 'y'.repeat(70_000)].map((text) => Buffer.from(text))
  const bytes = Buffer.concat(messages.map(frame))

  it('finds the messages however the bytes arrive', () => {
    for (const size of [1, 4, 5, 6, 1000, 16_384, bytes.length]) {
      const reader = new FrameReader(100_000)
      const found: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) {
        reader.push(bytes.subarray(at, at + size))
        found.push(...all(reader))
      }
      assert.deepEqual(found, messages, `chunks of ${size}`)
    }
  })

  it('keeps what is not taken yet', () => {
    for (const size of [1, 6, 1000]) {
      const reader = new FrameReader(100_000)
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size))
      assert.deepEqual(reader.next(), messages[0])
      reader.push(bytes)
      assert.deepEqual(all(reader), [...messages.slice(1), ...messages], `chunks of ${size}`)
    }
  })

  it('refuses what is compressed or too large before it has arrived', () => {
    const large = Buffer.from('0000010000', 'hex')
    const read = (maxBytes: number, data: Buffer): void => {
      const reader = new FrameReader(maxBytes)
      reader.push(data)
      reader.next()
    }
    assert.throws(() => read(65_535, large), {
      grpcCode: 8,
      message: 'grpc: received message larger than max (65536 vs. 65535)',
    })
    assert.throws(() => read(100, Buffer.from('0100000001ff', 'hex')), { grpcCode: 12 })
  })
})

describe('status', () => {
  it('maps every kind of error of the store to a code of etcd', () => {
    const status = toStatus(new StoreError('compacted'))
    assert.deepEqual([status.grpcCode, status.message], [11, 'etcdserver: mvcc: required revision has been compacted'])
    assert.equal(toStatus(new Error('bug')).grpcCode, 2)
    const own = new GrpcError(3, 'x')
    assert.equal(toStatus(own), own)
  })

  it('encodes what a header cannot hold', () => {
    assert.equal(encodeMessage('50 % of ü\nok'), '50 %25 of %C3%BC%0Aok')
  })
})
