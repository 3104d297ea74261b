import { WindowBudget } from '#pkg/http2/window-budget.ts'

/** A reader that is alone may be behind by a fifth of the limit, two by a sixth each, and so on: never by all of it together. */
const SHARES = 4

/** Something that holds packets of one connection until its reader takes them. */
export interface UnreadHolder {
  /** There is no more room, and its reader has taken nothing for the longest time: gives back all that it holds. */
  overflow(): void
}

/**
 * Packets of all connections of a process that wait for their readers. Once they are as much as they may be, connections are
 * ended, the one whose reader has taken nothing for the longest time first: those whose readers keep up are not touched.
 */
export class UnreadPackets {
  readonly #limitBytes: number
  /** By the time since which nothing was taken, longest first. */
  readonly #holders = new Map<UnreadHolder, number>()
  #bytes = 0

  constructor(options: { readonly limitBytes: number }) {
    this.#limitBytes = options.limitBytes
  }

  /** Bytes that wait now. */
  get bytes(): number {
    return this.#bytes
  }

  /** What one connection may leave unread before its source has to wait for it: less, the more wait already. */
  get shareBytes(): number {
    return Math.max(0, this.#limitBytes - this.#bytes) / SHARES
  }

  /** Bytes arrived that the reader does not take yet. May end the holder itself. */
  add(holder: UnreadHolder, bytes: number): void {
    this.#holders.set(holder, (this.#holders.get(holder) ?? 0) + bytes)
    this.#bytes += bytes
    for (const [longest] of this.#holders) {
      if (this.#bytes <= this.#limitBytes) return
      longest.overflow()
    }
  }

  /** The reader took bytes. */
  take(holder: UnreadHolder, bytes: number): void {
    const left = (this.#holders.get(holder) ?? 0) - bytes
    this.#holders.delete(holder)
    this.#bytes -= bytes
    if (left > 0) this.#holders.set(holder, left)
  }

  /** The holder is gone, with all that it held. */
  forget(holder: UnreadHolder): void {
    this.#bytes -= this.#holders.get(holder) ?? 0
    this.#holders.delete(holder)
  }
}

/** What a process holds for peers that are faster than their readers: each kind up to the same limit. */
export class Buffers {
  /** Of readers with a stream of their own: what they may have in flight beyond the first window of each. */
  readonly windows: WindowBudget
  /** Of readers that share a stream. */
  readonly unread: UnreadPackets

  constructor(options: { readonly limitBytes: number }) {
    this.windows = new WindowBudget(options)
    this.unread = new UnreadPackets(options)
  }

  /** Bytes granted or held now. */
  get bytes(): number {
    return this.windows.usedBytes + this.unread.bytes
  }
}
