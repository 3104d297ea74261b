import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { grpcFrame, GrpcMessageSplitter } from '#konnectivity/proto/grpc-frame.ts'
import { MalformedPacketError } from '#konnectivity/proto/protobuf.ts'

describe('GrpcMessageSplitter', () => {
  it('returns the same messages however the stream is cut', () => {
    const messages = [0, 1, 5, 300, 70_000, 3].map((length) => randomBytes(length))
    const stream = Buffer.concat(messages.map(grpcFrame))
    for (const size of [1, 2, 3, 7, 1000, 65_536, stream.length]) {
      const splitter = new GrpcMessageSplitter({ maxMessageBytes: 100_000 })
      const received: Buffer[] = []
      for (let at = 0; at < stream.length; at += size) received.push(...splitter.push(stream.subarray(at, at + size)))
      assert.deepEqual(received, messages, `chunks of ${size}`)
    }
  })

  it('refuses compressed and oversized messages', () => {
    const splitter = (): GrpcMessageSplitter => new GrpcMessageSplitter({ maxMessageBytes: 10 })
    assert.throws(() => [...splitter().push(Buffer.from([1, 0, 0, 0, 1, 0]))], MalformedPacketError)
    assert.throws(() => [...splitter().push(Buffer.from([0, 0, 0, 0, 11]))], MalformedPacketError)
    assert.deepEqual([...splitter().push(grpcFrame(Buffer.alloc(10)))], [Buffer.alloc(10)])
  })
})
