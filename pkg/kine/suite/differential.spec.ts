import assert from 'node:assert/strict'
import { comparable } from '#pkg/kine/testing/comparable.ts'
import { FuzzedServer } from '#pkg/kine/testing/fuzzed-server.ts'
import { RandomRequests } from '#pkg/kine/testing/random-requests.ts'
import type { Position, RandomCall } from '#pkg/kine/testing/random-requests.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import type { TestTarget } from '#pkg/kine/testing/targets.ts'
import { FUZZ_SECONDS, KINE_TARGETS, ORACLE } from '#pkg/kine/suite/targets.ts'

/** Requests to one pair of fresh servers. */
const STEPS = 400
const STREAMS = 3
/** Of a seed, until its requests were all answered in time. */
const TRIES = 3
/** Of a run that failed: only that one is done again. */
const REPLAY = process.env['K0S_KINE_FUZZ_SEED']

// Only where etcd has been built (make bins): it is the oracle.
if (ORACLE !== undefined) {
  const oracle = ORACLE
  describe('random requests', () => {
    for (const target of KINE_TARGETS) {
      const first = Number(REPLAY ?? Math.floor(Math.random() * 1e6))
      const what = REPLAY === undefined ? `for ${FUZZ_SECONDS} s, seeds from ${first}` : `seed ${first}`
      it(`get equal answers and events on ${target.name} and etcd, ${what}`, async function () {
        this.timeout(FUZZ_SECONDS * 1000 + 120_000)
        const endsAt = performance.now() + FUZZ_SECONDS * 1000
        for (let seed = first; ; seed += 1) {
          for (let tries = 1; (await compare(target, oracle, seed)) === 'too slow'; tries += 1) {
            assert.ok(tries < TRIES, `seed ${seed}: a request timed out each time`)
          }
          if (REPLAY !== undefined || performance.now() > endsAt) return
        }
      })
    }
  })
}

async function compare(target: TestTarget, oracle: TestTarget, seed: number): Promise<'equal' | 'too slow'> {
  await using ours = await target.start()
  await using theirs = await oracle.start()
  const run = new Comparison(seed, [new FuzzedServer(ours.connect()), new FuzzedServer(theirs.connect())])
  try {
    await run.all()
    return 'equal'
  } catch (error) {
    if (error instanceof OracleGoneError) return 'equal'
    if (error instanceof TimedOutError) return 'too slow'
    const replay = `K0S_KINE_FUZZ_SEED=${seed} K0S_KINE_STORES=${target.name},etcd`
    throw new Error(`seed ${seed}, step ${run.step} (again with ${replay})\n${run.recent.join('\n')}`, { cause: error })
  }
}

/** etcd panics when a transaction deletes a range and then puts a key of it with ignore_value or ignore_lease. */
class OracleGoneError extends Error {}

/** Ours has not got its database's answer in time, as on a machine that stands still: what was asked for may be done. */
class TimedOutError extends Error {}

const UNAVAILABLE = 14

/** The same requests to two servers, step by step. */
class Comparison {
  readonly #servers: readonly FuzzedServer[]
  readonly #requests: RandomRequests
  readonly #random: Random
  /** Ids that may be canceled, or asked for again, by stream. */
  readonly #watches: readonly Set<number>[] = Array.from({ length: STREAMS }, () => new Set<number>())
  readonly recent: string[] = []
  step = 0
  #position: Position = { revision: 1, compactRevision: 0 }
  /** Progress is silent until the store has reached where the latest watch starts. */
  #latestStart = 0

  constructor(seed: number, servers: readonly FuzzedServer[]) {
    this.#servers = servers
    this.#requests = new RandomRequests(seed)
    this.#random = new Random(seed + 1)
  }

  async all(): Promise<void> {
    await Promise.all(this.#servers.flatMap((server) => Array.from({ length: STREAMS }, () => server.openStream())))
    for (this.step = 0; this.step < STEPS; this.step += 1) {
      if (this.#random.oneIn(15)) await this.#watch()
      else await this.#call(this.#requests.next(this.#position))
    }
    await this.#settle()
  }

  async #call(call: RandomCall): Promise<void> {
    // A watch that is still behind would be canceled by one server and not by the other.
    if (call.method === 'KV/Compact') await this.#settle()
    this.#note(call.method, call.request)
    const answer = await this.#same((server) => server.call(call))
    this.#position = move(this.#position, call, answer as Answer)
  }

  async #watch(): Promise<void> {
    const stream = this.#random.below(STREAMS)
    const open = this.#watches[stream] ?? new Set()
    const known = [...open]
    if (known.length > 0 && this.#random.oneIn(4)) {
      const id = this.#random.pick(known)
      open.delete(id)
      // What it has to tell is on its way, or would never come.
      await this.#settle()
      await this.#ask(stream, { cancel_request: { watch_id: id } })
      return
    }
    const request = this.#requests.watch(this.#position)
    const { start_revision: start } = request
    if (start > 0 && start < this.#position.compactRevision) {
      this.#note('Watch', request)
      await this.#same((server) => server.watchCompacted({ create_request: request }))
      return
    }
    const id = this.#random.pick([0, 0, 0, 1000 + this.step, ...known.slice(0, 1)])
    const answer = await this.#ask(stream, { create_request: { ...request, watch_id: id } })
    const { watch_id: given, canceled } = answer as { readonly watch_id: number; readonly canceled: boolean }
    if (canceled) return
    open.add(given)
    this.#latestStart = Math.max(this.#latestStart, start)
  }

  #ask(stream: number, request: object): Promise<unknown> {
    this.#note(`Watch on stream ${stream}`, request)
    return this.#same((server) => server.watch(stream, request))
  }

  /** All watches have told the same. */
  async #settle(): Promise<void> {
    // At least once: an answer to an earlier question about progress, still under way, is about an older revision then.
    do {
      const call = { method: 'KV/Put', request: { key: Buffer.from('zz') } }
      this.#position = move(this.#position, call, (await this.#same((server) => server.call(call))) as Answer)
    } while (this.#position.revision < this.#latestStart)
    await this.#same((server) => server.toldUpTo(this.#position.revision))
  }

  async #same(ask: (server: FuzzedServer) => Promise<unknown>): Promise<unknown> {
    const [ours, theirs] = await Promise.all(this.#servers.map(ask))
    if ((theirs as Answer | undefined)?.code === UNAVAILABLE) throw new OracleGoneError()
    if ((ours as Answer | undefined)?.code === UNAVAILABLE) throw new TimedOutError()
    assert.deepEqual(ours, theirs)
    return theirs
  }

  #note(what: string, request: object): void {
    this.recent.push(`${this.step} ${what} ${JSON.stringify(comparable(request))}`)
    if (this.recent.length > 12) this.recent.shift()
  }
}

interface Answer {
  readonly code?: number
  readonly header?: { readonly revision: number }
}

function move(position: Position, { method, request }: RandomCall, { code, header }: Answer): Position {
  const revision = Math.max(position.revision, header?.revision ?? 0)
  const compacted = method === 'KV/Compact' && code === undefined && 'revision' in request
  return { revision, compactRevision: compacted ? Number(request.revision) : position.compactRevision }
}
