import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { startPods } from '#inttest/common/pods.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import type { LoopbackWriter } from '#inttest/ha/writer.ts'

/** The pod on the first worker that exec and logs are tried with. */
const WITNESS = 'witness'
const SPEAK = ['sh', '-c', 'trap exit TERM; while :; do echo here; sleep 0.2; done']

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

/** How long whatever has to work again by itself may take; how long it takes is printed. */
const AGAIN_MS = 120_000

/** Resolves once writes are acknowledged again, and one after `fromMs` has been. */
export async function writesGoOn(writer: LoopbackWriter, { fromMs = 0 }: { fromMs?: number } = {}): Promise<void> {
  await eventually('writes go on', AGAIN_MS, async () => {
    const newest = (await writer.acknowledged()).at(-1)?.atMs ?? 0
    assert.ok(newest > Math.max(fromMs, monotonicMs() - 1_000), 'no write for a second')
  })
}

/** Starts the pod that survives() looks at. */
export async function startWitness(cluster: Cluster): Promise<void> {
  await startPods(cluster, [{ name: WITNESS, node: cluster.worker.name, command: SPEAK }])
}

/** Fails unless a new `kubectl logs -f` gets lines that are written now. */
async function followLog(host: Host): Promise<void> {
  const follow = `timeout 10 ${k0sExecutable} kubectl logs -f --tail=1 ${WITNESS} | head -n 3`
  const { stdout, stderr } = await host.run(['sh', '-c', follow])
  assert.equal(stdout, 'here\nhere\nhere\n', stderr)
}

/** What users notice of `what` on `host` since `beganMs`: how long nobody could write, and when exec and logs work again. */
export async function survives(
  cluster: Cluster,
  writer: LoopbackWriter,
  { host, beganMs, what }: { readonly host: Host; readonly beganMs: number; readonly what: string },
): Promise<void> {
  const other = cluster.controllers.find((controller) => controller !== host)!
  await eventually('exec works through another controller', AGAIN_MS, async () => {
    const { code, stderr } = await other.k0s(['kubectl', 'exec', WITNESS, '--', 'hostname'], { timeoutMs: 10_000 })
    assert.equal(code, 0, stderr)
  })
  const execMs = monotonicMs() - beganMs
  await eventually('logs -f works through another controller', AGAIN_MS, () => followLog(other))
  const logsMs = monotonicMs() - beganMs
  await writesGoOn(writer)
  const gapMs = await writer.longestGapMs(beganMs - 1_000)
  const after = `exec after ${inSeconds(execMs)}, logs -f after ${inSeconds(logsMs)}`
  console.log(`      ${what} on ${host.name}: no write for ${inSeconds(gapMs)}, ${after}`)
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
