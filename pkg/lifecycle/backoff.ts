/** Shape of a growing delay. */
export interface BackoffOptions {
  /** First delay, milliseconds. */
  readonly initialMs: number
  /** Delays never exceed this many milliseconds. */
  readonly maxMs: number
  /** Growth per attempt. Default 2. */
  readonly factor?: number
  /** Share of the delay that is random, 0 to 1, so that many clients do not return at once. Default 0.1. */
  readonly jitter?: number
}

/** Delay in milliseconds before attempt `attempt` (0 is the first retry). */
export function backoffMs(attempt: number, options: BackoffOptions): number {
  const { initialMs, maxMs, factor = 2, jitter = 0.1 } = options
  const base = Math.min(initialMs * factor ** attempt, maxMs)
  return Math.round(base * (1 - jitter * Math.random()))
}
