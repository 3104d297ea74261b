import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { containersOf } from '#inttest/common/faults.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'
import { untilAgreed } from '#inttest/membership/agreed.ts'
import { leave, reset } from '#inttest/membership/leaving.ts'

/** Writes have to go on by themselves; how soon is printed. */
const INTERRUPTION_MS = 30_000

describe('three controllers that are replaced by new hosts, one after another, under a writer', function () {
  this.bail(true) // each step begins with what the one before left
  const cluster: Cluster = newCluster('replace', { controllers: 6, workers: 1 })
  const [a, b, c, d, e, f] = cluster.controllers as readonly [Host, Host, Host, Host, Host, Host]
  const writer = new LoopbackWriter(cluster, cluster.worker, { everyMs: 50 })
  let containers = ''

  before(async function () {
    this.timeout(600_000)
    await cluster.down()
    await cluster.network.create()
    for (const host of [a, b, c, cluster.worker]) await host.boot()
    await cluster.startController()
    for (const host of [b, c]) await cluster.joinController(host)
    await cluster.join(cluster.worker)
    await cluster.untilNodesReady([cluster.worker.name])
    await startPods(cluster, [{ name: 'witness' }])
    containers = await containersOf(cluster, 'witness')
    await writer.start()
  })
  after(() => writer.stop())
  keepLogsOfFailures(cluster, 'replace')
  after(() => cluster.down())

  for (const { old, fresh, others } of [
    { old: a, fresh: d, others: [b, c] },
    { old: b, fresh: e, others: [c, d] },
    { old: c, fresh: f, others: [d, e] },
  ] as const) {
    it(`replace ${old.name} by ${fresh.name}: pods run on, and writes`, async () => {
      cluster.ask(others[0])
      const beganMs = monotonicMs()
      await leave(old)
      await reset(old)
      await old.powerOff()
      await fresh.boot()
      await cluster.joinController(fresh)
      await untilAgreed(cluster, [...others, fresh])
      for (const host of [...others, fresh]) {
        await eventually(`exec through ${host.name}`, 30_000, async () => {
          const { code, stderr } = await host.k0s(['kubectl', 'exec', 'witness', '--', 'true'], { timeoutMs: 20_000 })
          assert.equal(code, 0, stderr)
        })
      }
      assert.equal(await containersOf(cluster, 'witness'), containers)
      const gapMs = await writer.longestGapMs(beganMs)
      console.log(`      no write for ${(gapMs / 1_000).toFixed(1)} s at most`)
      assert.ok(gapMs < INTERRUPTION_MS, `no write for ${String(gapMs)} ms`)
    }).timeout(300_000)
  }

  it('lose no acknowledged write', () => writer.verify())

  it('are found by a worker that joined with one that is gone, after a power cut', async () => {
    await cluster.worker.powerOff()
    await cluster.worker.boot()
    await cluster.restart(cluster.worker)
    await cluster.untilNodesReady([cluster.worker.name])
    await untilAgreed(cluster, [d, e, f])
  }).timeout(300_000)
})
