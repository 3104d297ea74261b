import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import type { LoopbackWriter } from '#inttest/ha/writer.ts'

/** Writes have to go on by themselves; how soon is printed. */
const INTERRUPTION_MS = 30_000

/** SIGKILL to all that the product runs on a host, its supervisor first; the host itself goes on. */
export async function killAll(host: Host): Promise<void> {
  const processes = (await host.processes()).filter(({ name }) => name !== 'sleep')
  for (const { pid } of processes.toSorted((a, b) => a.startTicks - b.startTicks)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch (err) {
      if ((err as NodeJS.ErrnoException).code !== 'ESRCH') throw err // it went with its parent
    }
  }
}

/** One decimal, as the figures of these tests are printed. */
export function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}

/** Resolves once writes are acknowledged again. */
export async function writesGoOn(writer: LoopbackWriter): Promise<void> {
  await eventually('writes go on', 60_000, async () => {
    const newest = (await writer.acknowledged()).at(-1)?.atMs ?? 0
    assert.ok(newest > monotonicMs() - 1_000, 'no write for a second')
  })
}

/** What users notice of `what` on `host` since `beganMs`: how long nobody could write, and when exec works again. */
export async function survives(
  cluster: Cluster,
  writer: LoopbackWriter,
  { host, beganMs, what }: { readonly host: Host; readonly beganMs: number; readonly what: string },
): Promise<void> {
  const other = cluster.controllers.find((controller) => controller !== host)!
  await eventually('exec works through another controller', 60_000, async () => {
    const { code, stderr } = await other.k0s(['kubectl', 'exec', 'witness', '--', 'hostname'], { timeoutMs: 10_000 })
    assert.equal(code, 0, stderr)
  })
  const execMs = monotonicMs() - beganMs
  await writesGoOn(writer)
  const gapMs = await writer.longestGapMs(beganMs - 1_000)
  console.log(`      ${what} on ${host.name}: no write for ${inSeconds(gapMs)}, exec after ${inSeconds(execMs)}`)
  assert.ok(gapMs < INTERRUPTION_MS, `no write for ${String(gapMs)} ms`)
}

/** Kills or powers off a controller under a writer, and starts it again as a service manager would. */
export async function killAndReturn(
  cluster: Cluster,
  writer: LoopbackWriter,
  { host, how }: { readonly host: Host; readonly how: 'kill -9' | 'power-off' },
): Promise<void> {
  const beganMs = monotonicMs()
  if (how === 'power-off') await host.powerOff()
  else await killAll(host)
  await survives(cluster, writer, { host, beganMs, what: how })
  if (how === 'power-off') await host.boot()
  await cluster.restart(host)
}
