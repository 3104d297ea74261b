import type { Host } from '#inttest/common/host.ts'

/** What several controllers keep their objects in, on a host of its own. */
export interface SharedStore {
  /** Boots the host and resolves when the store serves. */
  up(): Promise<void>
  /** The cluster configuration of a controller that uses it. */
  readonly config: string
  /** Gives a controller what it needs to trust the store, and to be trusted. */
  introduceTo(controller: Host): Promise<void>
  /** Starts the program on the data that it has. */
  start(): Promise<void>
  /** Ends it as an administrator does. */
  stop(): Promise<void>
  /** SIGKILL to all of it. */
  kill(): Promise<void>
}
