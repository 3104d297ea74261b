import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Finished } from '#inttest/common/run.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { inSeconds } from '#inttest/ha/surviving.ts'

/** `--api-server-stop-timeout` is a minute. */
const STOP_WITHIN_MS = 20_000

for (const database of ['postgres', 'external-etcd'] as const) {
  describe(`a controller whose store is lost: ${database}`, () => {
    const cluster: Cluster = newCluster(`lost-${database}`, { workers: 0, database })

    before(async function () {
      this.timeout(300_000)
      await cluster.down()
      await cluster.up()
    })
    keepLogsOfFailures(cluster, `lost-${database}`)
    after(() => cluster.down())

    it('stops soon, and says why', async () => {
      const { controller } = cluster
      const ask = (path: string): Promise<Finished> => controller.k0s(['kubectl', 'get', '--raw', path])
      await cluster.loseDatabase()
      await eventually('the API server is not ready', 60_000, async () => {
        assert.notEqual((await ask('/readyz')).code, 0)
      })
      // A request in flight, besides those that the controller's own parts have.
      const left = controller.k0s(['kubectl', 'create', 'configmap', 'late'])
      const beganMs = performance.now()
      const { code, stderr } = await controller.k0s(['stop'])
      const tookMs = performance.now() - beganMs
      console.log(`      stopped after ${inSeconds(tookMs)}`)
      assert.equal(code, 0, stderr)
      assert.match(
        await readFile(join(controller.dir, 'k0s.log'), 'utf8'),
        /not waiting any longer.*component=kube-apiserver.*the store does not answer/,
      )
      assert.ok(tookMs < STOP_WITHIN_MS, `stopped after ${inSeconds(tookMs)}`)
      assert.notEqual((await left).code, 0)
    })
  })
}
