import { encodeFields } from '#pkg/http2/hpack.ts'
import { Flag, FRAME_HEADER_BYTES, FrameType, Setting } from '#pkg/http2/protocol.ts'
import type { Random } from '#pkg/http2/testing/random.ts'

const TYPES = [...Object.values(FrameType), 200]

/** A frame; lengths and contents need not fit its type. */
export function frame(type: number, flags: number, streamId: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(FRAME_HEADER_BYTES)
  header.writeUIntBE(payload.length, 0, 3)
  header[3] = type
  header[4] = flags
  header.writeUInt32BE(streamId, 5)
  return Buffer.concat([header, payload])
}

/** Frames as a peer would send them, and as none should. `opened` is the last stream that makes sense. */
export function randomFrames(random: Random, count: number): Buffer {
  let opened = 1
  const frames = Array.from({ length: count }, () => {
    if (random.once(12)) return frame(random.of(TYPES), random.int(256), random.int(12), random.bytes(random.int(40)))
    const streamId = random.once(10) ? random.int(16) : 1 + 2 * random.int((opened + 1) / 2)
    switch (random.int(8)) {
      case 0: {
        if (!random.once(3)) opened += 2
        return frame(FrameType.headers, Flag.endHeaders | random.int(2), opened, headerBlock(random))
      }
      case 1:
      case 2:
        return frame(FrameType.data, random.once(6) ? random.int(16) : 0, streamId, random.bytes(random.int(600)))
      case 3:
        return frame(FrameType.windowUpdate, 0, random.once(3) ? 0 : streamId, number(random, 2 ** 31))
      case 4:
        return frame(FrameType.rstStream, 0, streamId, number(random, 14))
      case 5:
        return frame(FrameType.ping, random.int(2), 0, random.bytes(8))
      case 6:
        return frame(FrameType.settings, 0, 0, settings(random))
      default:
        return frame(FrameType.headers, random.int(2), streamId, headerBlock(random))
    }
  })
  return Buffer.concat(frames)
}

function headerBlock(random: Random): Buffer {
  const block = encodeFields([
    [':method', 'POST'],
    [':path', random.of(['/echo', '/wait', ''])],
    ['x-any', 'y'.repeat(random.int(300))],
  ])
  return random.once(8) ? random.damage(block) : block
}

function settings(random: Random): Buffer {
  const payload = Buffer.alloc(6)
  payload.writeUInt16BE(random.of([...Object.values(Setting), 99]), 0)
  payload.writeUInt32BE(random.once(2) ? random.int(100_000) : random.int(2 ** 32), 2)
  return payload
}

function number(random: Random, below: number): Buffer {
  const payload = Buffer.alloc(4)
  payload.writeUInt32BE(random.int(random.once(2) ? below : 1000), 0)
  return payload
}
