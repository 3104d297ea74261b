import assert from 'node:assert/strict'
import type { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** What the API server asks for its /livez, and gives 2 s. */
const KEY = '/registry/health'
const LIMIT_MS = 2_000
const DEADLINE_MS = 30_000
const INTERVAL_MS = 250
const TICK_MS = 20

/** Asks for health all the time, as /livez does. */
export class HealthProbe {
  readonly #server: () => KineProcess
  readonly #running: Promise<void>
  readonly #tookMs: number[] = []
  /** How many were answered with an error. */
  failed = 0
  #over = false
  #client: { readonly of: KineProcess; readonly etcd: EtcdClient } | undefined

  constructor(server: () => KineProcess) {
    this.#server = server
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#running
  }

  /** Every one was answered, or failed, in time. */
  check(): void {
    const slowest = Math.max(...this.#tookMs)
    assert.ok(slowest < LIMIT_MS, `${this.describe()}, more than ${String(LIMIT_MS)} ms`)
  }

  describe(): string {
    const slowest = Math.max(0, ...this.#tookMs).toFixed(0)
    return `${String(this.#tookMs.length)} asked, ${String(this.failed)} failed, slowest ${slowest} ms`
  }

  async #run(): Promise<void> {
    while (!this.#over) {
      const server = this.#server()
      if (this.#client?.of !== server) this.#client = { of: server, etcd: server.connect() }
      const { etcd } = this.#client
      const tookMs = await timed(() => etcd.call('KV/Range', { key: Buffer.from(KEY) }, { deadlineMs: DEADLINE_MS }), {
        onError: () => (this.failed += 1),
      })
      this.#tookMs.push(tookMs)
      await sleep(INTERVAL_MS)
    }
  }
}

/** Duration of a call without the time for which this very process was kept from running meanwhile. */
async function timed(call: () => Promise<unknown>, { onError }: { readonly onError: () => void }): Promise<number> {
  let tickedAt = performance.now()
  let heldUpMs = 0
  const tick = (): void => {
    const now = performance.now()
    heldUpMs += Math.max(0, now - tickedAt - TICK_MS)
    tickedAt = now
  }
  const timer = setInterval(tick, TICK_MS)
  const askedAt = performance.now()
  try {
    await call()
  } catch {
    onError()
  } finally {
    clearInterval(timer)
  }
  return performance.now() - askedAt - heldUpMs
}
