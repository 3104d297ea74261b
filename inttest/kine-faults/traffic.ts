import assert from 'node:assert/strict'
import type { ServiceError } from '@grpc/grpc-js'
import type { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { HealthProbe } from '#inttest/kine-faults/health-probe.ts'
import { checkHistory } from '#inttest/kine-faults/history.ts'
import type { Write } from '#inttest/kine-faults/history.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { del, modIs, put } from '#pkg/kine/testing/requests.ts'
import { watchResuming } from '#pkg/kine/testing/resuming-watch.ts'
import { WatchRecorder } from '#pkg/kine/testing/watch-recorder.ts'

/** Options of Traffic. */
export interface TrafficOptions {
  /** Default 4. */
  readonly writers?: number
  /** Default a few bytes. */
  readonly valueBytes?: number
}

const WATCHERS = 2
const KEYS = 12
const PREFIX = 'f/'
/** The machine is to be disturbed by faults, not by load. */
const PAUSE_MS = 5
/** Wait after a write that failed. */
const RETRY_MS = 50
/** Longer than the server may take for anything. */
const DEADLINE_MS = 20_000
const GIVE_UP_MS = 60_000

/**
 * Clients that write, watch and ask for health while faults happen, each as Kubernetes' own: who writes knows what was
 * acknowledged; who watches resumes behind what it has seen. Ended by `verify`, which holds the one to the other.
 */
export class Traffic {
  readonly health: HealthProbe
  readonly recorders: readonly WatchRecorder[]
  /** Everything that was asked for, in the order of the answers. */
  readonly writes: Write[] = []
  readonly #server: () => KineProcess
  readonly #options: TrafficOptions
  readonly #from: number
  readonly #watching: Promise<unknown>
  readonly #writing: Promise<unknown>
  readonly #clients = new Map<KineProcess, EtcdClient>()
  #over = false
  #last = Number.POSITIVE_INFINITY

  /** `server`: the one to talk to now. */
  static async start(server: () => KineProcess, options: TrafficOptions = {}): Promise<Traffic> {
    const { header } = await server().connect().range(`${PREFIX}none`)
    return new Traffic(server, options, header.revision + 1)
  }

  private constructor(server: () => KineProcess, options: TrafficOptions, from: number) {
    this.#server = server
    this.#options = options
    this.#from = from
    const seed = Math.floor(Math.random() * 1e6)
    this.health = new HealthProbe(server)
    this.recorders = Array.from({ length: WATCHERS }, () => new WatchRecorder({ from, strictHeaders: true }))
    const connect = (): EtcdClient => this.#client()
    const watching = this.recorders.map((recorder, i) =>
      watchResuming(prefixRange(PREFIX), { connect, recorder, random: new Random(seed + i) }, () =>
        this.#seen(recorder),
      ),
    )
    this.#watching = handled(Promise.all(watching))
    const writers = Array.from({ length: options.writers ?? 4 }, (_, i) => this.#write(i, new Random(seed + 100 + i)))
    this.#writing = handled(Promise.all(writers))
  }

  get acknowledged(): readonly Write[] {
    return this.writes.filter(({ outcome }) => outcome === 'acknowledged')
  }

  /** Errors that writers got since `since` (of performance.now()), as `code text`. */
  errorsSince(since: number): readonly string[] {
    return this.writes.flatMap(({ error, answeredAt }) => (error === undefined || answeredAt < since ? [] : [error]))
  }

  /** Resolves once a write that is asked for from now on is acknowledged; tells after how many milliseconds. */
  async untilWritable(): Promise<number> {
    const since = performance.now()
    while (!this.writes.some(({ askedAt, outcome }) => askedAt >= since && outcome === 'acknowledged')) {
      assert.ok(performance.now() - since < GIVE_UP_MS, `no write for ${String(GIVE_UP_MS)} ms: ${this.#lastError()}`)
      await sleep(20)
    }
    return performance.now() - since
  }

  /** One write beside those of the writers, of a key below the prefix that is watched. */
  async put(name: string, request: object = {}): Promise<Message> {
    const write = { value: `own ${name}`, askedAt: performance.now() }
    const answer = await this.#client().put(`${PREFIX}${name}`, write.value, request)
    this.#note(write, 'acknowledged', answer.header.revision)
    return answer
  }

  /** Deletions of a key that the first watcher has seen. */
  deletions(name: string): number {
    const events = this.recorders[0]?.events ?? []
    return events.filter(({ type, kv }) => type === 'Delete' && kv.key.toString() === `${PREFIX}${name}`).length
  }

  /**
   * Ends everything, and holds what was watched and what is stored now to what was acknowledged. Returns what there was,
   * for the report.
   */
  async verify(): Promise<string> {
    try {
      await this.untilWritable()
      this.#over = true
      await this.#writing
      this.#last = (await this.put('end')).header.revision
      await this.#watching
      const { kvs } = await this.#client().call('KV/Range', prefixRange(PREFIX))
      checkHistory({ from: this.#from, to: this.#last, recorders: this.recorders, writes: this.writes, kvs })
      const unknown = this.writes.filter(({ outcome }) => outcome === 'unknown').length
      const acknowledged = String(this.acknowledged.length)
      return `${acknowledged} acknowledged, ${String(unknown)} unknown; health: ${this.health.describe()}`
    } finally {
      await this.stop()
    }
  }

  /** Ends everything, for who does not come to verify it. */
  async stop(): Promise<void> {
    this.#over = true
    this.#last = Math.min(this.#last, 0)
    await Promise.allSettled([this.#writing, this.#watching, this.health.stop()])
  }

  #seen({ next }: WatchRecorder): boolean {
    return next > this.#last
  }

  #client(): EtcdClient {
    const server = this.#server()
    const known = this.#clients.get(server)
    if (known !== undefined) return known
    const client = server.connect()
    this.#clients.set(server, client)
    return client
  }

  async #write(writer: number, random: Random): Promise<void> {
    const padding = 'x'.repeat(this.#options.valueBytes ?? 0)
    for (let n = 0; !this.#over; n += 1) {
      const write = { value: `${String(writer)}-${String(n)} ${padding}`, askedAt: performance.now() }
      try {
        const { header, succeeded } = await this.#change(write.value, random)
        this.#note(write, succeeded ? 'acknowledged' : 'refused', header.revision)
        await sleep(PAUSE_MS)
      } catch (error) {
        const { code, details } = error as ServiceError
        this.#note(write, 'unknown', 0, `${String(code)} ${details}`)
        await sleep(RETRY_MS)
      }
    }
  }

  /** A put, a put with a deletion, or what Kubernetes does: a put if nobody has been faster. */
  async #change(value: string, random: Random): Promise<Message> {
    const etcd = this.#client()
    const key = `${PREFIX}${String(random.below(KEYS))}`
    const gone = `${PREFIX}gone/${String(random.below(KEYS))}`
    const success = [put(key, value)]
    const kind = random.below(4)
    const compare = []
    if (kind === 0) success.push(del(gone))
    else if (kind === 1) success.push(put(gone, value))
    else if (kind === 2) compare.push(modIs(key, (await etcd.range(key)).kvs[0]?.mod_revision ?? 0))
    return etcd.call('KV/Txn', { compare, success }, { deadlineMs: DEADLINE_MS })
  }

  #note(write: Pick<Write, 'value' | 'askedAt'>, outcome: Write['outcome'], revision: number, error?: string): void {
    this.writes.push({ ...write, answeredAt: performance.now(), outcome, revision, error })
  }

  #lastError(): string {
    return this.writes.findLast(({ error }) => error !== undefined)?.error ?? 'no error'
  }
}

/** Whoever awaits it sees its failure; until then it must not count as unhandled. */
function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}
