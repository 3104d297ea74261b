import { Worker } from 'node:worker_threads'
import { StoreError } from '#pkg/kine/errors.ts'
import type { CallName, Calls, ReplyMessage, WorkerSettings } from '#pkg/kine/dialect/sqlite/protocol.ts'

/** SQLite's result codes that mean "the disk is full" (SQLITE_FULL, and what a full file system answers to fsync). */
const NO_SPACE = /^SQLITE_(FULL|TOOBIG)/

/** How a worker thread is started; both paths come from pkg/assets. */
export interface WorkerFiles {
  /** worker.ts, or its bundle. */
  readonly worker: string
  /** better_sqlite3.node */
  readonly binding: string
}

/** An error of SQLite or of the thread, before it is known what it means for the caller. */
export class WorkerError extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'WorkerError'
    this.code = code
  }
}

interface Waiting {
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: Error) => void
}

/** Calls into one SQLite thread: requests in, promises out. */
export class WorkerClient {
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #seq = 0
  #dead: WorkerError | undefined

  constructor(files: WorkerFiles, settings: Omit<WorkerSettings, 'binding'>, onDeath: (error: Error) => void) {
    const workerData: WorkerSettings = { ...settings, binding: files.binding }
    // The threads move buffers, which are outside the heap; small generations keep the resident size down.
    const resourceLimits = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 256 }
    this.#worker = new Worker(files.worker, { workerData, resourceLimits, execArgv: [], env: {} })
    this.#worker.on('message', (message: ReplyMessage) => this.#onReply(message))
    this.#worker.on('error', (error: Error) => {
      this.#die(error.message)
      onDeath(error)
    })
    this.#worker.on('exit', () => this.#die('the database thread has ended'))
  }

  call<C extends CallName>(call: C, request: Calls[C]['request']): Promise<Calls[C]['reply']> {
    if (this.#dead !== undefined) return Promise.reject(this.#dead)
    const seq = this.#seq
    this.#seq += 1
    this.#worker.postMessage({ seq, call, request }, request instanceof ArrayBuffer ? [request] : [])
    return new Promise((resolve, reject) => {
      this.#waiting.set(seq, { resolve: resolve as (reply: unknown) => void, reject })
    })
  }

  /** Lets the thread finish what it was given, close its files and end. */
  async close(): Promise<void> {
    if (this.#dead !== undefined) return
    await this.call('close', undefined)
    await this.#worker.terminate()
  }

  /** Ends the thread at once. */
  async terminate(): Promise<void> {
    await this.#worker.terminate()
  }

  #onReply(message: ReplyMessage): void {
    const waiting = this.#waiting.get(message.seq)
    this.#waiting.delete(message.seq)
    if (message.ok) waiting?.resolve(message.reply)
    else waiting?.reject(new WorkerError(message.code, message.message))
  }

  #die(reason: string): void {
    this.#dead ??= new WorkerError('THREAD', reason)
    for (const { reject } of this.#waiting.values()) reject(this.#dead)
    this.#waiting.clear()
  }
}

/** What an error of SQLite means for the client of the store. */
export function toStoreError(error: unknown): StoreError {
  const noSpace = error instanceof WorkerError && (NO_SPACE.test(error.code) || error.message.includes('ENOSPC'))
  return new StoreError(noSpace ? 'no-space' : 'unavailable', { cause: error })
}
