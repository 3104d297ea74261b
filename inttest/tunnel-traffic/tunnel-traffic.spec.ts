import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { theProcess } from '#inttest/common/faults.ts'
import type { HostProcess } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import { Session, tell, Traffic } from '#inttest/tunnel-traffic/traffic.ts'
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
    await moveMetricsServer(cluster)
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

  /** Runs `restart` under traffic and holds the calls to the promises. */
  async function under(restart: () => Promise<void>): Promise<void> {
    await using traffic = await Traffic.start(cluster, NAMESPACE)
    await sleep(STEADY_MS)
    await restart()
    await sleep(STEADY_MS)
    await traffic.finish()
    for (const calls of [traffic.creates, traffic.metrics]) console.log(`      ${tell(calls)}`)
    assert.ok(traffic.creates.answered > 0 && traffic.metrics.answered > 0)
    assert.deepEqual([...traffic.creates.refused, ...traffic.metrics.refused], [], 'calls that were not begun')
  }

  it('an agent: no call fails to begin, and sessions of the other worker are not touched', async () => {
    await using stack = new AsyncDisposableStack()
    const [own = [], others = []] = await sessions(stack, 'agent')
    await under(async () => {
      const began = Date.now()
      const { code, stderr } = await cluster.worker.k0s(['stop'], { timeoutMs: 90_000 })
      assert.equal(code, 0, stderr)
      console.log(`      the worker stopped after ${((Date.now() - began) / 1000).toFixed(1)} s`)
      await cluster.restart(cluster.worker)
    })
    console.log(
      `      sessions of the restarted worker that were cut: ${String(own.filter(({ open }) => !open).length)} of 2`,
    )
    await untouched(others)
  })

  it('the tunnel server: no call fails to begin', async () => {
    await using stack = new AsyncDisposableStack()
    const all = (await sessions(stack, 'server')).flat()
    await under(async () => {
      const before = await theProcess(cluster.controller, 'konnectivity-server')
      await startSuccessor(cluster, before)
      await eventually('the old server is gone', 90_000, async () => {
        const processes = await cluster.controller.processes()
        assert.ok(!processes.some(({ pid, startTicks }) => pid === before.pid && startTicks === before.startTicks))
      })
    })
    console.log(
      `      sessions through the restarted server that were cut: ${String(all.filter(({ open }) => !open).length)} of 4`,
    )
    // The supervisor starts its own again, which takes over in turn.
    await eventually('one server runs', 90_000, () => theProcess(cluster.controller, 'konnectivity-server'))
    await cluster.exec(`ticks-${cluster.worker.name}`, ['true'])
  })
})

/**
 * Puts the one pod of metrics-server on the worker that is not restarted: a kubelet that starts takes its pods for not ready at
 * first, and the API server then has no metrics to offer, tunnel or not.
 */
async function moveMetricsServer(cluster: Cluster): Promise<void> {
  await cluster.mustKubectl(['cordon', cluster.worker.name])
  await cluster.mustKubectl(['delete', 'pod', '-n', 'kube-system', '-l', 'k8s-app=metrics-server'], {
    timeoutMs: 90_000,
  })
  const ready = ['wait', '-n', 'kube-system', '--for=condition=Available', 'deployment/metrics-server', '--timeout=90s']
  await cluster.mustKubectl(ready, { timeoutMs: 100_000 })
  await cluster.mustKubectl(['uncordon', cluster.worker.name])
}

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

/** Starts another tunnel server as the user, and with the arguments, of the one that runs: it takes over. */
async function startSuccessor(cluster: Cluster, { pid, argv }: HostProcess): Promise<void> {
  const status = await readFile(`/proc/${String(pid)}/status`, 'utf8')
  const id = (name: string): string => new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)?.[1] ?? '0'
  const user = [`--reuid=${id('Uid')}`, `--regid=${id('Gid')}`, '--clear-groups']
  await cluster.controller.spawn(['setpriv', ...user, '--', ...argv], 'successor')
}
