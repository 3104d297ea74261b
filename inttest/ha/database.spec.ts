import { eventually } from '#inttest/common/eventually.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { databaseGoes } from '#inttest/ha/database-goes.ts'
import { apiServerServes } from '#inttest/ha/serving.ts'
import { killAndReturn, startWitness } from '#inttest/ha/surviving.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'

for (const database of ['postgres', 'mariadb'] as const) {
  describe(`two controllers on one ${database}`, () => {
    const cluster = newCluster(`ha-${database}`, { controllers: 2, workers: 1, database })
    const writer = new LoopbackWriter(cluster, cluster.worker)

    before(async function () {
      this.timeout(600_000)
      await cluster.down()
      await cluster.up()
      await startWitness(cluster)
      await writer.start()
    })
    after(() => writer.stop())
    keepLogsOfFailures(cluster, `ha-${database}`)
    after(() => cluster.down())

    for (const how of ['kill -9', 'power-off'] as const) {
      for (const [index, host] of cluster.controllers.entries()) {
        it(`survive a ${how} of controller-${String(index)}`, async () => {
          await killAndReturn(cluster, writer, { host, how })
          await eventually('both serve again', 120_000, async () => {
            for (const each of cluster.controllers) await apiServerServes(each)
          })
        }).timeout(600_000)
      }
    }

    for (const how of ['kill -9', 'stop'] as const) {
      it(`survive a ${how} of ${database}, and say what they wait for`, async () => {
        await databaseGoes(cluster, writer, how)
      }).timeout(600_000)
    }

    it('lose no acknowledged write', () => writer.verify())
  })
}
