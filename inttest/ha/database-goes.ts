import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { apiServerServes, everythingServes } from '#inttest/ha/serving.ts'
import { inSeconds, writesGoOn } from '#inttest/ha/surviving.ts'
import type { LoopbackWriter } from '#inttest/ha/writer.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Longer than the leases by which leaders of the control plane are elected, so that all of them are lost. */
const AWAY_MS = 20_000

/**
 * Ends the database server under all controllers and starts it again: they come back by themselves.
 *
 * @param how - `kill -9` is started again at once, as a service manager does; after `stop` it is away for a while
 */
export async function databaseGoes(cluster: Cluster, writer: LoopbackWriter, how: 'kill -9' | 'stop'): Promise<void> {
  const { database, controllers } = cluster
  const supervisors = async (): Promise<readonly number[]> =>
    Promise.all(controllers.map(async (host) => (await cluster.supervisor(host)).pid))
  const before = await supervisors()
  const beganMs = monotonicMs()
  if (how === 'stop') {
    await database.stop()
    for (const host of controllers) {
      await eventually(`${host.name} says what it waits for`, 60_000, async () => {
        const { stdout } = await host.k0s(['status'])
        assert.match(stdout, /^Components: .*kine: the database does not serve: /m)
      })
    }
    await sleep(Math.max(0, AWAY_MS - (monotonicMs() - beganMs)))
  } else await database.kill()
  const backMs = monotonicMs()
  await database.start()
  await writesGoOn(writer)
  const gapMs = await writer.longestGapMs(beganMs - 1_000)
  const firstMs = (await writer.acknowledged()).find(({ atMs }) => atMs > backMs)?.atMs ?? Infinity
  await eventually('all serve again', 180_000, async () => {
    for (const host of controllers) {
      await apiServerServes(host)
      await everythingServes(host)
    }
  })
  const wholeMs = monotonicMs() - backMs
  console.log(
    `      ${how} of the database: no write for ${inSeconds(gapMs)}, the first ${inSeconds(firstMs - backMs)} after its start; every component ready ${inSeconds(wholeMs)} after it`,
  )
  assert.deepEqual(await supervisors(), before, 'nobody started a controller again')
}
