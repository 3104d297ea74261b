import { isIPv6 } from 'node:net'

/** How many refusals one source may collect. */
export interface RefusalLimitOptions {
  /** Refusals in `windowMs` after which a source is not listened to. Default 10. */
  readonly refusals?: number
  /** Milliseconds. Default 60 000. */
  readonly windowMs?: number
  /** Sources remembered; the oldest is forgotten first. Default 10 000. */
  readonly sources?: number
}

/**
 * Slows down whoever guesses tokens: a source that was refused too often is not listened to for a while. Requests that
 * succeed are not counted. An IPv6 source is its /64, which one host has all of.
 */
export class RefusalLimit {
  readonly #options: Required<RefusalLimitOptions>
  readonly #refusals = new Map<string, { count: number; readonly until: number }>()

  constructor(options: RefusalLimitOptions = {}) {
    this.#options = { refusals: 10, windowMs: 60_000, sources: 10_000, ...options }
  }

  /** Milliseconds until the source is listened to again; 0: now. */
  blockedMs(address: string, now = performance.now()): number {
    const entry = this.#refusals.get(sourceOf(address))
    if (entry === undefined || entry.until <= now || entry.count < this.#options.refusals) return 0
    return entry.until - now
  }

  /** Counts a refusal; the window of a source begins with its first one. */
  refuse(address: string, now = performance.now()): void {
    const source = sourceOf(address)
    const entry = this.#refusals.get(source)
    if (entry !== undefined && entry.until > now) {
      entry.count += 1
      return
    }
    this.#refusals.delete(source)
    this.#refusals.set(source, { count: 1, until: now + this.#options.windowMs })
    const [oldest] = this.#refusals.keys()
    if (this.#refusals.size > this.#options.sources && oldest !== undefined) this.#refusals.delete(oldest)
  }
}

/** Whom an address stands for: itself, or of an IPv6 one its /64. Pure. */
export function sourceOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (mapped !== undefined) return mapped
  return isIPv6(address) ? prefix64(address) : address
}

function prefix64(address: string): string {
  const [head = '', tail] = (address.split('%')[0] ?? '').split('::')
  const before = head === '' ? [] : head.split(':')
  const after = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - before.length - after.length }, () => '0')
  return `${[...before, ...zeros, ...after].slice(0, 4).join(':')}::/64`
}
