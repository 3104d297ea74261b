import type { Socket } from 'node:net'
import type { ConnectionOptions } from '#pkg/http2/options.ts'
import { NOTHING } from '#pkg/http2/payload.ts'
import { FRAME_HEADER_BYTES, FrameType } from '#pkg/http2/protocol.ts'

/** Small frames of a turn of the event loop are written into one of these. */
const SLAB_BYTES = 32 * 1024
/** Slabs that were sent wait here for the next connection that has something to say. */
const MAX_SPARE_SLABS = 16
const spareSlabs: Buffer[] = []
/** Payloads from this size on are sent from where they are instead of being copied. */
const COPY_LIMIT_BYTES = 4 * 1024
/** With more than this on its way, no further DATA is added until the socket has drained. */
const CONGESTED_BYTES = 256 * 1024

/**
 * What one connection has to send. Frames that are caused together leave in one write: answers to requests that were
 * committed together cost one system call. See ConnectionOptions.gather for what is together.
 */
export class Output {
  readonly #socket: Socket
  /** Told after a flush that leaves room: the socket's `drain` comes only if its buffer was full. */
  readonly #onFlushed: () => void
  readonly #maxWaitingBytes: number
  readonly #gatherTurn: boolean
  #slab: Buffer | undefined
  /** The part of the slab that is not yet among the chunks. */
  #from = 0
  #to = 0
  #chunks: Buffer[] = []
  /** Of the next flush: nothing, at the end of the turn, or at once. */
  #scheduled: 'no' | 'turn' | 'tick' = 'no'
  #immediate: NodeJS.Immediate | undefined
  #bytes = 0

  /** `maxWaitingBytes`: a peer that makes us answer PINGs by the million and reads nothing is let go. */
  constructor(socket: Socket, options: Pick<ConnectionOptions, 'maxWaitingBytes' | 'gather'>, onFlushed: () => void) {
    this.#socket = socket
    this.#gatherTurn = options.gather === 'turn'
    this.#maxWaitingBytes = options.maxWaitingBytes
    this.#onFlushed = onFlushed
  }

  /** DATA should wait for the socket's `drain`. */
  get congested(): boolean {
    return this.#bytes + this.#socket.writableLength > CONGESTED_BYTES
  }

  /** Begins a frame: header, and room for its payload, which the caller fills in at the returned place of `buffer`. */
  frame(
    type: number,
    flags: number,
    streamId: number,
    length: number,
  ): { readonly buffer: Buffer; readonly at: number } {
    const at = this.#reserve(FRAME_HEADER_BYTES + length)
    const buffer = this.#slab as Buffer
    this.#to = at + FRAME_HEADER_BYTES + length
    writeHeader(buffer, at, { type, flags, streamId, length })
    return { buffer, at: at + FRAME_HEADER_BYTES }
  }

  /** A frame with a payload of one or two parts. */
  send(type: number, flags: number, streamId: number, payload: Buffer, before: Buffer = NOTHING): void {
    const length = before.length + payload.length
    const copied = payload.length < COPY_LIMIT_BYTES
    const at = this.#reserve(FRAME_HEADER_BYTES + (copied ? length : before.length), mayWait(type, length))
    const slab = this.#slab as Buffer
    writeHeader(slab, at, { type, flags, streamId, length })
    this.#to = at + FRAME_HEADER_BYTES
    if (before.length > 0) this.#to += before.copy(slab, this.#to)
    if (copied) {
      if (payload.length > 0) this.#to += payload.copy(slab, this.#to)
      return
    }
    this.#cut()
    this.#chunks.push(payload)
    this.#bytes += payload.length
  }

  /** Sends everything now. */
  flush(): void {
    this.#scheduled = 'no'
    this.#cut()
    const chunks = this.#chunks
    const slab = this.#slab
    this.#chunks = []
    this.#slab = undefined
    this.#from = this.#to = this.#bytes = 0
    if (!this.#socket.writable || chunks.length === 0) return
    const last = chunks.length - 1
    if (last > 0) this.#socket.cork()
    for (const [i, chunk] of chunks.entries()) this.#socket.write(chunk, i === last ? reuse(slab) : undefined)
    if (last > 0) this.#socket.uncork()
    if (this.#socket.writableLength > this.#maxWaitingBytes) this.#socket.destroy()
    else if (!this.congested) this.#onFlushed()
  }

  /** Bytes that belong to no frame: the client's preface. */
  raw(bytes: Buffer): void {
    const at = this.#reserve(bytes.length)
    this.#to = at + bytes.copy(this.#slab as Buffer, at)
  }

  #reserve(bytes: number, wait = false): number {
    this.#schedule(this.#gatherTurn && wait ? 'turn' : 'tick')
    this.#bytes += bytes
    if (this.#slab !== undefined && this.#to + bytes <= this.#slab.length) return this.#to
    this.#cut()
    // A slab that is full belongs to its chunks and goes with them.
    this.#slab =
      bytes > SLAB_BYTES ? Buffer.allocUnsafeSlow(bytes) : (spareSlabs.pop() ?? Buffer.allocUnsafeSlow(SLAB_BYTES))
    this.#from = this.#to = 0
    return 0
  }

  #schedule(when: 'turn' | 'tick'): void {
    if (this.#scheduled === 'tick' || this.#scheduled === when) return
    this.#scheduled = when
    const flush = (): void => {
      if (this.#scheduled === when) this.flush()
    }
    if (when === 'turn') this.#immediate = setImmediate(flush)
    else {
      // One that has nothing to do would make the event loop turn once more.
      clearImmediate(this.#immediate)
      process.nextTick(flush)
    }
  }

  #cut(): void {
    if (this.#slab === undefined || this.#to === this.#from) return
    this.#chunks.push(this.#slab.subarray(this.#from, this.#to))
    this.#from = this.#to
  }
}

/** Frames that begin or end a stream: those of many streams come together, and no bytes wait behind them. */
function mayWait(type: number, length: number): boolean {
  return type === FrameType.headers || (type === FrameType.data && length === 0)
}

/** Once written, the kernel or the TLS layer has a copy of its own; of a socket that broke that is not known. */
function reuse(slab: Buffer | undefined): (error?: Error | null) => void {
  return (error) => {
    if (!error && slab?.length === SLAB_BYTES && spareSlabs.length < MAX_SPARE_SLABS) spareSlabs.push(slab)
  }
}

function writeHeader(
  target: Buffer,
  at: number,
  { type, flags, streamId, length }: { type: number; flags: number; streamId: number; length: number },
): void {
  target[at] = length >>> 16
  target[at + 1] = (length >>> 8) & 0xff
  target[at + 2] = length & 0xff
  target[at + 3] = type
  target[at + 4] = flags
  target.writeUInt32BE(streamId, at + 5)
}
