import type { FloodGuard } from '#pkg/http2/flood-guard.ts'
import type { FrameWriter } from '#pkg/http2/frame-writer.ts'
import { protocolError } from '#pkg/http2/payload.ts'
import { DEFAULT_MAX_FRAME_BYTES, ErrorCode, Http2Error, MAX_WINDOW_BYTES, Setting } from '#pkg/http2/protocol.ts'
import type { Sender } from '#pkg/http2/sender.ts'
import type { StreamTable } from '#pkg/http2/stream-table.ts'

/** What the settings of a peer change. */
interface Settable {
  readonly streams: StreamTable
  readonly sender: Sender
  readonly writer: FrameWriter
  readonly flood: FloodGuard
}

/** A new window for so many streams is about as much work as another frame. */
const STREAMS_OF_A_FRAME = 32
/** Largest frames that are sent, however large the peer takes them: others wait behind each. */
const MAX_SENT_FRAME_BYTES = 8 * DEFAULT_MAX_FRAME_BYTES
/** Frames have no more (RFC 9113, 6.5.2). */
const MAX_FRAME_BYTES = 0xff_ffff

/** Takes up the payload of a SETTINGS frame: 6 bytes each. Unknown ones are to be ignored. @throws Http2Error */
export function applySettings(payload: Buffer, target: Settable): void {
  for (let at = 0; at < payload.length; at += 6) {
    applySetting(payload.readUInt16BE(at), payload.readUInt32BE(at + 2), target)
  }
}

function applySetting(setting: number, value: number, { streams, sender, writer, flood }: Settable): void {
  switch (setting) {
    case Setting.initialWindowSize:
      if (value > MAX_WINDOW_BYTES) throw new Http2Error(ErrorCode.flowControlError, 'window too large')
      flood.count(1 + streams.size / STREAMS_OF_A_FRAME)
      sender.resizeWindows(value, streams.list())
      return
    case Setting.maxFrameSize:
      if (value < DEFAULT_MAX_FRAME_BYTES || value > MAX_FRAME_BYTES) throw protocolError('frame size out of range')
      sender.maxFrameBytes = Math.min(value, MAX_SENT_FRAME_BYTES)
      return
    case Setting.maxConcurrentStreams:
      streams.limit = value
      return
    case Setting.headerTableSize:
      writer.announceTable()
  }
}
