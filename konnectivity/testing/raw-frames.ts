import { encodeFields } from '#pkg/http2/hpack.ts'
import { Flag, FrameType, PREFACE } from '#pkg/http2/protocol.ts'
import { frame } from '#pkg/http2/testing/random-frames.ts'
import { metadata } from '#konnectivity/tunnel/protocol.ts'

/** What a client writes before the packets of stream 1: preface, settings and the call of `path`, of an agent named `agentId`. */
export function opening(path: string, agentId?: string): Buffer {
  const headers = encodeFields([
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', path],
    ...(agentId === undefined ? [] : [[metadata.agentId, agentId] as const]),
  ])
  return Buffer.concat([
    PREFACE,
    frame(FrameType.settings, 0, 0, Buffer.alloc(0)),
    frame(FrameType.headers, Flag.endHeaders, 1, headers),
  ])
}

/** Bytes on stream 1, in frames that every peer takes. */
export function dataFrames(bytes: Buffer): Buffer {
  const frames: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 16_384)
    frames.push(frame(FrameType.data, 0, 1, bytes.subarray(at, at + 16_384)))
  return Buffer.concat(frames)
}
