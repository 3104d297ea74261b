import type { WindowBudget } from '#pkg/http2/window-budget.ts'

/** How one end of a connection behaves. */
export interface ConnectionOptions {
  readonly role: 'server' | 'client'
  /** First flow-control window of each stream. */
  readonly streamWindowBytes: number
  /** Window of the connection. It is refilled on receipt, so that one stream that is not read holds up no other. */
  readonly connectionWindowBytes: number
  /** Largest payload that the peer may send in a frame, from 16 KiB. */
  readonly maxFrameBytes: number
  /** Streams that the peer may have open at once; further ones are refused. */
  readonly maxStreams: number
  /** A peer that lets this much wait by not reading is let go. */
  readonly maxWaitingBytes: number
  /**
   * When frames that begin or end a stream leave: at the end of what caused them, as all others do (`tick`, the default), or of the
   * turn of the event loop, where it is one write for what all other sockets caused in that turn (`turn`).
   */
  readonly gather?: 'tick' | 'turn'
  /** Listeners say when they are done with bytes (`Http2Stream.consumed`), and a stream's directions end on their own. */
  readonly duplex?: DuplexOptions | undefined
}

/** Flow control by what listeners have read. */
export interface DuplexOptions {
  /** A stream whose reader keeps up with its peer gets a window up to this size. */
  readonly maxStreamWindowBytes: number
  /** Where growing windows take from. */
  readonly budget: WindowBudget
}
