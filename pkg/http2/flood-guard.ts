import { ErrorCode, Http2Error } from '#pkg/http2/protocol.ts'

/** So many frames that move nothing, in less than the time below, are no use of a connection. */
const MAX_IDLE_FRAMES = 20_000
const PERIOD_MS = 1_000

/** Notices a peer that keeps this process busy with PINGs, SETTINGS, resets, empty DATA and the like. */
export class FloodGuard {
  #frames = 0
  #since = -Infinity

  /** Counts a frame that moved nothing, as several if it is more work than others. @throws Http2Error */
  count(frames = 1): void {
    this.#frames += frames
    if (this.#frames < MAX_IDLE_FRAMES) return
    const now = performance.now()
    if (now - this.#since < PERIOD_MS) throw new Http2Error(ErrorCode.enhanceYourCalm, 'too many idle frames')
    this.#frames = 0
    this.#since = now
  }
}
