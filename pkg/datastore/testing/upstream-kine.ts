import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { freePort, serverAt } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** The upstream program, built for benchmarks: `embedded-bins/build.ts --only upstream-kine`. */
export const UPSTREAM_KINE: string = resolve('embedded-bins/staging/bench-bin/upstream-kine')

const START_TRIES = 200
const START_INTERVAL_MS = 50

/** An upstream kine on a database, `args` beside those that every one needs. */
export async function startUpstreamKine(endpoint: string, args: readonly string[] = []): Promise<TestServer> {
  const port = await freePort()
  const common = [`--endpoint=${endpoint}`, `--listen-address=tcp://127.0.0.1:${port}`, '--metrics-bind-address=0']
  const child = spawn(UPSTREAM_KINE, [...common, ...args], { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const server = serverAt(`127.0.0.1:${port}`, async () => {
    child.kill('SIGTERM')
    await exited
  })
  for (let tries = 0; ; tries += 1) {
    const probe = server.connect()
    try {
      await probe.range('/registry/health', { limit: 1 })
      return server
    } catch (error) {
      if (tries > START_TRIES) throw error
      await sleep(START_INTERVAL_MS)
    } finally {
      probe.close()
    }
  }
}
