import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { DatastoreError, DatastoreInUseError } from '#pkg/datastore/errors.ts'

/** What is shown of the output of a program that failed, characters. */
const TAIL_CHARACTERS = 2000

/** One run of `etcd k0s-datastore …` (embedded-bins/etcd/etcd). Disposing ends it. */
export class EtcdProgram implements AsyncDisposable {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exited: Promise<number | null>
  readonly #what: string
  #lines: AsyncIterator<string> | undefined
  #errors = ''

  /** `path`: the executable; `what`: the store, for messages. */
  constructor(path: string, args: readonly string[], what: string) {
    this.#what = what
    this.#child = spawn(path, ['k0s-datastore', ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#errors = (this.#errors + text).slice(-TAIL_CHARACTERS)
    })
    // A program that has ended tells why by its exit; what was still to be written to it is lost with it.
    this.#child.stdin.on('error', () => undefined)
    this.#exited = Promise.race([once(this.#child, 'close'), once(this.#child, 'error')]).then(([outcome]) => {
      if (outcome instanceof Error) this.#errors = outcome.message
      return typeof outcome === 'number' ? outcome : null
    })
  }

  /** Everything that it prints. */
  get output(): Readable {
    return this.#child.stdout
  }

  /** Next line of what it prints, as JSON. @throws DatastoreError if it has ended */
  async nextReply(): Promise<unknown> {
    this.#lines ??= createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]()
    const line = await this.#lines.next()
    if (line.done === true) throw await this.failure()
    return JSON.parse(line.value)
  }

  /** Resolves when there is room for more. */
  async send(bytes: Buffer): Promise<void> {
    if (this.#child.stdin.write(bytes)) return
    await Promise.race([once(this.#child.stdin, 'drain'), this.#exited])
  }

  /** Waits for its end. @throws DatastoreError if that is not a good one */
  async finish(): Promise<void> {
    this.#child.stdin.end()
    if ((await this.#exited) !== 0) throw await this.failure()
  }

  /** Why it has ended. */
  async failure(): Promise<DatastoreError | DatastoreInUseError> {
    await this.#exited
    const reason = this.#errors.trim().split('\n').at(-1) ?? ''
    if (/is in use by|being written by/.test(reason)) {
      return new DatastoreInUseError(`${this.#what}: ${reason}; stop it and run the same command again`)
    }
    if (/no space left|disk quota/.test(reason)) {
      return new DatastoreError(`${this.#what}: disk full; free some space and run the same command again`)
    }
    return new DatastoreError(`${this.#what}: ${reason === '' ? 'the program ended unexpectedly' : reason}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.stdin.destroy()
    this.#child.kill('SIGTERM')
    await this.#exited
  }
}
