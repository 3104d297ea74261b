import type { StoredState, PruneResult } from '#pkg/kine/dialect/dialect.ts'

/** What a worker thread is told when it starts. */
export interface WorkerSettings {
  readonly role: 'writer' | 'reader'
  /** Database file. */
  readonly file: string
  /** better_sqlite3.node, built for this Node.js. */
  readonly binding: string
  /** The reader is alone, and changes nothing; it answers `open` too. */
  readonly readOnly?: boolean
}

/** Calls of the writer and the reader thread: request packet or fields, and what comes back. */
export interface Calls {
  open: { request: undefined; reply: StoredState }
  append: { request: ArrayBuffer; reply: ArrayBuffer }
  prune: { request: number; reply: PruneResult }
  size: { request: undefined; reply: { bytes: number; inUseBytes: number } }
  defragment: { request: undefined; reply: undefined }
  readIndex: { request: Uint8Array | undefined; reply: ArrayBuffer }
  readValues: { request: ArrayBuffer; reply: ArrayBuffer }
  readVersions: { request: ArrayBuffer; reply: ArrayBuffer }
  readLog: { request: ArrayBuffer; reply: ArrayBuffer }
  readUpstream: { request: number; reply: ArrayBuffer }
  close: { request: undefined; reply: undefined }
}

/** Name of a call. */
export type CallName = keyof Calls

/** Main thread to worker. */
export interface RequestMessage {
  readonly seq: number
  readonly call: CallName
  readonly request: unknown
}

/** Worker to main thread. */
export type ReplyMessage =
  | { readonly seq: number; readonly ok: true; readonly reply: unknown }
  | { readonly seq: number; readonly ok: false; readonly code: string; readonly message: string }

/** One function for each call that a worker of some role answers. */
export type Handlers = { readonly [C in CallName]?: (request: Calls[C]['request']) => Calls[C]['reply'] }
