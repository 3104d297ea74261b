import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { serverAt } from '#pkg/kine/testing/servers.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

/** Tries until a program that has just been started must answer. */
const START_TRIES = 200
const START_INTERVAL_MS = 50

/** A program that serves the etcd API. */
export interface ProgramServerOptions {
  /** The executable and its arguments. */
  readonly argv: readonly [string, ...string[]]
  /** `host:port` that it is told to listen at. */
  readonly address: string
  /** What ends it. */
  readonly stopSignal: NodeJS.Signals
}

/** Starts it; resolves once it answers. */
export async function startProgramServer({ argv, address, stopSignal }: ProgramServerOptions): Promise<TestServer> {
  const [program, ...args] = argv
  const child = spawn(program, args, { stdio: 'ignore' })
  const exited = once(child, 'exit')
  const server = serverAt(address, async () => {
    child.kill(stopSignal)
    await exited
  })
  for (let tries = 0; ; tries += 1) {
    const probe = server.connect()
    try {
      // As the API server asks for health; upstream kine takes no get without a limit.
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
