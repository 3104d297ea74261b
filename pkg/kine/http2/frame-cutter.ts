import { NOTHING } from '#pkg/kine/http2/payload.ts'
import {
  DEFAULT_MAX_FRAME_BYTES,
  ErrorCode,
  FRAME_HEADER_BYTES,
  Http2Error,
  PREFACE,
} from '#pkg/kine/http2/protocol.ts'

/** A frame as it came; the payload is a view of what the socket read. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** Cuts what a client sends into frames, behind its preface. */
export class FrameCutter {
  #bytes: Buffer = NOTHING
  #at = 0
  #prefaced = false

  /** Takes what was read and returns its first complete frame, to be followed by `next` until that has none. @throws Http2Error */
  push(chunk: Buffer): Frame | undefined {
    const rest = this.#bytes.length - this.#at
    this.#bytes = rest === 0 ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
    if (!this.#prefaced && !this.#takePreface()) return undefined
    return this.next()
  }

  /** The next complete frame, if any. @throws Http2Error */
  next(): Frame | undefined {
    const bytes = this.#bytes
    const at = this.#at
    if (bytes.length - at < FRAME_HEADER_BYTES) {
      this.#keepRest()
      return undefined
    }
    const length = bytes.readUIntBE(at, 3)
    // SETTINGS_MAX_FRAME_SIZE is left at its default.
    if (length > DEFAULT_MAX_FRAME_BYTES) throw new Http2Error(ErrorCode.frameSizeError, `a frame of ${length} bytes`)
    const start = at + FRAME_HEADER_BYTES
    if (bytes.length < start + length) {
      this.#keepRest()
      return undefined
    }
    this.#at = start + length
    return {
      type: bytes[at + 3] ?? 0,
      flags: bytes[at + 4] ?? 0,
      streamId: bytes.readUInt32BE(at + 5) & 0x7fff_ffff,
      payload: bytes.subarray(start, this.#at),
    }
  }

  /** A part of a frame must not keep 64 KiB of other ones alive. */
  #keepRest(): void {
    if (this.#at === this.#bytes.length) this.#bytes = NOTHING
    else if (this.#at > 0) this.#bytes = Buffer.from(this.#bytes.subarray(this.#at))
    this.#at = 0
  }

  #takePreface(): boolean {
    const length = Math.min(PREFACE.length, this.#bytes.length)
    if (this.#bytes.compare(PREFACE, 0, length, 0, length) !== 0) {
      throw new Http2Error(ErrorCode.protocolError, 'no HTTP/2 preface')
    }
    if (length < PREFACE.length) return false
    this.#at = length
    this.#prefaced = true
    return true
  }
}
