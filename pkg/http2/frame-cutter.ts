import { NOTHING } from '#pkg/http2/payload.ts'
import { ErrorCode, Flag, FRAME_HEADER_BYTES, FrameType, Http2Error, PREFACE } from '#pkg/http2/protocol.ts'

/**
 * A frame as it came; the payload is a view of what the socket read. DATA comes in as many frames as there were reads:
 * END_STREAM is with the last of them.
 */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** What the cutter is to expect. */
export interface FrameCutterOptions {
  /** The peer is a client: its preface comes first. */
  readonly preface: boolean
  /** Largest payload that was agreed on (SETTINGS_MAX_FRAME_SIZE). */
  readonly maxFrameBytes: number
}

/** Cuts what a peer sends into frames. A frame other than DATA waits until it is whole. */
export class FrameCutter {
  readonly #maxFrameBytes: number
  #bytes: Buffer = NOTHING
  #at = 0
  #prefaced: boolean
  /** Of a DATA frame that is being passed on: what is to come, and whose it is. */
  #dataLeft = 0
  #dataFlags = 0
  #dataStreamId = 0

  constructor(options: FrameCutterOptions) {
    this.#maxFrameBytes = options.maxFrameBytes
    this.#prefaced = !options.preface
  }

  /** Takes what was read and returns its first frame, to be followed by `next` until that has none. @throws Http2Error */
  push(chunk: Buffer): Frame | undefined {
    const rest = this.#bytes.length - this.#at
    this.#bytes = rest === 0 ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
    if (!this.#prefaced && !this.#takePreface()) return undefined
    return this.next()
  }

  /** The next frame, if any. @throws Http2Error */
  next(): Frame | undefined {
    if (this.#dataLeft > 0) return this.#data()
    const bytes = this.#bytes
    const at = this.#at
    if (bytes.length - at < FRAME_HEADER_BYTES) {
      this.#keepRest()
      return undefined
    }
    const length = bytes.readUIntBE(at, 3)
    if (length > this.#maxFrameBytes) throw new Http2Error(ErrorCode.frameSizeError, `a frame of ${length} bytes`)
    const type = bytes[at + 3] ?? 0
    const flags = bytes[at + 4] ?? 0
    const streamId = bytes.readUInt32BE(at + 5) & 0x7fff_ffff
    const start = at + FRAME_HEADER_BYTES
    if (bytes.length < start + length) {
      if (type !== FrameType.data || (flags & Flag.padded) !== 0) {
        this.#keepRest()
        return undefined
      }
      this.#at = start
      this.#dataLeft = length
      this.#dataFlags = flags
      this.#dataStreamId = streamId
      return this.#data()
    }
    this.#at = start + length
    return { type, flags, streamId, payload: bytes.subarray(start, this.#at) }
  }

  /** As much of the current DATA as was read. */
  #data(): Frame | undefined {
    const start = this.#at
    const end = Math.min(this.#bytes.length, start + this.#dataLeft)
    if (start === end) {
      this.#keepRest()
      return undefined
    }
    this.#at = end
    this.#dataLeft -= end - start
    const flags = this.#dataLeft === 0 ? this.#dataFlags : this.#dataFlags & ~Flag.endStream
    return { type: FrameType.data, flags, streamId: this.#dataStreamId, payload: this.#bytes.subarray(start, end) }
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
