import { resolve } from 'node:path'
import { startProgramServer } from '#pkg/kine/testing/program-server.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

/** The upstream program, built for benchmarks: `embedded-bins/build.ts --only upstream-kine`. */
export const UPSTREAM_KINE: string = resolve('embedded-bins/staging/bench-bin/upstream-kine')

/** An upstream kine on a database, `args` beside those that every one needs. */
export async function startUpstreamKine(endpoint: string, args: readonly string[] = []): Promise<TestServer> {
  const address = `127.0.0.1:${await freePort()}`
  const common = [`--endpoint=${endpoint}`, `--listen-address=tcp://${address}`, '--metrics-bind-address=0']
  return startProgramServer({ argv: [UPSTREAM_KINE, ...common, ...args], address, stopSignal: 'SIGTERM' })
}
