import type { Call } from '#pkg/kine/server/call.ts'

/** One streaming call: what it wants to be told. */
export interface StreamHandler {
  /**
   * Whether it takes a message now. While it does not, nothing of the client is read, which bounds what a client can make
   * it keep; it is asked again when the client has taken what was sent, and after `readOn`.
   */
  readonly ready: boolean
  onMessage(message: Buffer): void
  /** The client sends no more. */
  onEnd(): void
  /** The call is over, in whatever way. */
  onClose(): void
}

/** Begins a streaming call; `readOn`: the handler takes messages again. */
export type StreamOpener = (call: Call, readOn: () => void) => StreamHandler
