import type { Frame } from '#pkg/http2/frame-cutter.ts'
import { protocolError, unpad } from '#pkg/http2/payload.ts'
import { ErrorCode, Flag, Http2Error } from '#pkg/http2/protocol.ts'

/** Header blocks larger than this, compressed, are refused. */
const MAX_BLOCK_BYTES = 64 * 1024
/** Several times what a block of that size needs: frames without payload would otherwise cost a peer nothing, and us memory. */
const MAX_BLOCK_FRAMES = 32
/** Before the block of a HEADERS frame with the flag PRIORITY. */
const PRIORITY_BYTES = 5

/** A header block that is whole. */
export interface HeaderBlock {
  readonly streamId: number
  readonly endStream: boolean
  readonly bytes: Buffer
}

/** Puts the blocks of HEADERS and CONTINUATION frames together; between the frames of one there is no other frame. */
export class HeaderBlocks {
  #open: { readonly streamId: number; readonly endStream: boolean; readonly parts: Buffer[]; bytes: number } | undefined

  /** A block has begun, and its end is to come. */
  get open(): boolean {
    return this.#open !== undefined
  }

  /** Takes a HEADERS frame; the block if that is all of it. @throws Http2Error */
  begin({ flags, streamId, payload }: Frame): HeaderBlock | undefined {
    const unpadded = unpad(flags, payload)
    const bytes = (flags & Flag.priority) === 0 ? unpadded : unpadded.subarray(PRIORITY_BYTES)
    const endStream = (flags & Flag.endStream) !== 0
    if ((flags & Flag.endHeaders) !== 0) return { streamId, endStream, bytes }
    this.#open = { streamId, endStream, parts: [Buffer.from(bytes)], bytes: bytes.length }
    return undefined
  }

  /** Takes a CONTINUATION frame; the block if that was the last of it. @throws Http2Error */
  continue({ flags, streamId, payload }: Frame): HeaderBlock | undefined {
    const block = this.#open
    if (block?.streamId !== streamId) throw protocolError('CONTINUATION of no header block')
    block.parts.push(Buffer.from(payload))
    block.bytes += payload.length
    if (block.bytes > MAX_BLOCK_BYTES || block.parts.length > MAX_BLOCK_FRAMES)
      throw new Http2Error(ErrorCode.enhanceYourCalm, 'headers too large')
    if ((flags & Flag.endHeaders) === 0) return undefined
    this.#open = undefined
    return { streamId, endStream: block.endStream, bytes: Buffer.concat(block.parts) }
  }
}
