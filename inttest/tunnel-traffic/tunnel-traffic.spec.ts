import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { containersOf, theProcess } from '#inttest/common/faults.ts'
import type { Host } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import { Session, tell, Traffic, wasCut } from '#inttest/tunnel-traffic/traffic.ts'
import type { Drain } from '#inttest/tunnel-traffic/traffic.ts'
import { startWebhook } from '#inttest/tunnel-traffic/webhook.ts'

const NAMESPACE = 'traffic'
const TICKS = ['sh', '-c', 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.2; done'] as const
/** Traffic before and after a restart. */
const STEADY_MS = 5_000

/** Not part of `make test`: `make check-tunnel-traffic`. */
describe('a rolling restart of agents and servers under the traffic of a cluster', function () {
  this.timeout(600_000)
  let cluster: Cluster

  before(async () => {
    cluster = newCluster('tunnel-traffic', { workers: 2 })
    await cluster.down()
    await cluster.up()
    await cluster.mustKubectl(['create', 'namespace', NAMESPACE])
    await startPods(
      cluster,
      cluster.workers.map(({ name }) => ({ name: `ticks-${name}`, node: name, command: TICKS })),
    )
    await startWebhook(cluster, NAMESPACE)
    await eventually('metrics of both workers', 120_000, async () => {
      const { stdout } = await cluster.kubectl(['top', 'nodes', '--no-headers'])
      assert.equal(stdout.trim().split('\n').length, 2)
    })
  })
  after(async () => {
    await cluster.down()
  })

  /** An exec and a logs -f on each worker. */
  async function sessions(stack: AsyncDisposableStack, round: string): Promise<readonly (readonly Session[])[]> {
    const started = cluster.workers.map(({ name }) =>
      Promise.all([
        Session.start(cluster, `exec-${name}-${round}`, ['exec', `ticks-${name}`, '--', ...TICKS]),
        Session.start(cluster, `logs-${name}-${round}`, ['logs', '-f', '--tail=1', `ticks-${name}`]),
      ]),
    )
    const all = await Promise.all(started)
    all.flat().forEach((session) => stack.use(session))
    await eventually('lines of every session', 30_000, async () => {
      for (const session of all.flat()) assert.ok((await session.ticks()).length > 2, session.name)
    })
    return all
  }

  /** Runs `restart` under traffic, and holds the calls to the promises. */
  async function under(restart: () => Promise<readonly Drain[]>): Promise<void> {
    await using traffic = await Traffic.start(cluster, NAMESPACE)
    await sleep(STEADY_MS)
    const drains = await restart()
    await sleep(STEADY_MS)
    await traffic.finish()
    for (const calls of [traffic.creates, traffic.metrics]) {
      console.log(`      ${tell(calls, drains)}`)
      assert.ok(calls.answered > 0)
      const others = calls.failed.filter((failure) => !drains.some((drain) => wasCut(failure, drain)))
      assert.deepEqual(others, [], `${calls.what}: calls that failed and that no drain cut`)
    }
  }

  for (const at of [0, 1]) {
    it(`the agent of worker-${String(at)}: no call fails that it did not cut, and sessions of the other worker are not touched`, async () => {
      await using stack = new AsyncDisposableStack()
      const all = await sessions(stack, `agent-${String(at)}`)
      const worker = cluster.workers[at] as Host
      const pods = async (): Promise<readonly string[]> =>
        Promise.all(cluster.workers.map(({ name }) => containersOf(cluster, `ticks-${name}`)))
      const before = await pods()
      await under(async () => {
        const fromMs = Date.now()
        const { code, stderr } = await worker.k0s(['stop'], { timeoutMs: 90_000 })
        assert.equal(code, 0, stderr)
        const toMs = Date.now()
        const ended = await drained(worker, 'agent drained', fromMs)
        console.log(`      stopped after ${((toMs - fromMs) / 1000).toFixed(1)} s; ended ${String(ended)} connections`)
        await cluster.restart(worker)
        return [{ fromMs, toMs, ended }]
      })
      assert.deepEqual(await pods(), before, 'pods outlive the restart of their worker')
      const cut = all[at]?.filter(({ open }) => !open).length
      console.log(`      sessions of the restarted worker that were cut: ${String(cut)} of 2`)
      await untouched(all[1 - at] ?? [])
    })
  }

  it('the tunnel server, on SIGHUP: no call fails that it did not cut', async () => {
    await using stack = new AsyncDisposableStack()
    const { controller } = cluster
    const all = (await sessions(stack, 'server')).flat()
    const before = await theProcess(controller, 'konnectivity-server')
    await under(async () => {
      const fromMs = Date.now()
      process.kill((await cluster.supervisor(controller)).pid, 'SIGHUP')
      await eventually('it is replaced', 90_000, () => logged(controller, 'tunnel server replaced', fromMs))
      const toMs = Date.now()
      const ended = await drained(controller, 'tunnel server drained', fromMs)
      console.log(`      replaced after ${((toMs - fromMs) / 1000).toFixed(1)} s; ended ${String(ended)} connections`)
      return [{ fromMs, toMs, ended }]
    })
    const after = await theProcess(controller, 'konnectivity-server')
    assert.notDeepEqual([after.pid, after.startTicks], [before.pid, before.startTicks])
    const cut = all.filter(({ open }) => !open).length
    console.log(`      sessions through the restarted server that were cut: ${String(cut)} of 4`)
    await cluster.exec(`ticks-${cluster.worker.name}`, ['true'])
  })
})

/** They go on, and no line is missing. */
async function untouched(sessions: readonly Session[]): Promise<void> {
  for (const session of sessions) {
    assert.ok(session.open, `${session.name} was cut`)
    const ticks = await session.ticks()
    assert.deepEqual(
      ticks,
      ticks.map((_, i) => (ticks[0] ?? 0) + i),
      session.name,
    )
  }
}

/** The line of a host's log that says so, written after `sinceMs`; rejects when there is none. */
async function logged(host: Host, message: string, sinceMs: number): Promise<string> {
  const lines = (await readFile(join(host.dir, 'k0s.log'), 'utf8')).split('\n').filter((line) => line.includes(message))
  const found = lines.find((line) => Date.parse(/^time=(\S+)/.exec(line)?.[1] ?? '') >= sinceMs)
  if (found === undefined) throw new Error(`${host.name} has not said "${message}"`)
  return found
}

/** Connections that a drain ended, as the one who drained says. */
async function drained(host: Host, message: string, sinceMs: number): Promise<number> {
  const [, idle, cut] = /idleClosed=(\d+) cut=(\d+)/.exec(await logged(host, message, sinceMs)) ?? []
  return Number(idle) + Number(cut)
}
