import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { apiServerServes, everythingServes, memberNames } from '#inttest/ha/serving.ts'
import { inSeconds } from '#inttest/ha/surviving.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'

/** A controller says in `k0s status` what it has. */
export async function saysWhatItHas(host: Host, line: RegExp): Promise<void> {
  const beganMs = monotonicMs()
  const said = await eventually(`k0s status on ${host.name} names it`, 120_000, async () => {
    const { stdout } = await host.k0s(['status'])
    const found = stdout.split('\n').find((each) => line.test(each))
    assert.ok(found !== undefined, `${String(line)} is not in:\n${stdout}`)
    return found
  })
  console.log(`      k0s status on ${host.name}, after ${inSeconds(monotonicMs() - beganMs)}: ${said}`)
}

/** The lines of a controller's log that match, all of it. */
export async function logged(host: Host, line: RegExp): Promise<readonly string[]> {
  const text = await readFile(join(host.dir, 'k0s.log'), 'utf8')
  return text.split('\n').filter((each) => line.test(each))
}

/** All controllers are ready, and etcd has all its members in the eyes of each; tells how long that took. */
export async function heals(cluster: Cluster, beganMs: number): Promise<void> {
  const names = cluster.controllers.map(({ name }) => name)
  await eventually('all controllers are well', 240_000, async () => {
    for (const host of cluster.controllers) {
      assert.deepEqual(await memberNames(host), names)
      await everythingServes(host)
      await apiServerServes(host)
    }
  })
  console.log(`      every component of every controller ready after ${inSeconds(monotonicMs() - beganMs)}`)
}
