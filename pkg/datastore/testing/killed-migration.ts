import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Progress } from '#pkg/datastore/progress.ts'

/** Kills a migration that waits where it reports this progress. */
export async function killMigrationAt(
  phase: Progress['phase'],
  percent: number,
  from: string,
  to: string,
): Promise<void> {
  const { child, exited, lines } = startMigration(from, to, phase, String(percent))
  for (let at: Partial<Progress> = {}; at.phase !== phase || Number(at.percent) < percent;) {
    const { value } = await lines.next()
    at = JSON.parse(value ?? assert.fail('it has ended')) as Partial<Progress>
  }
  child.kill('SIGKILL')
  await exited
}

/** Kills a migration so long after its first report; false if it was done before. */
export async function killMigrationAfter(delayMs: number, from: string, to: string): Promise<boolean> {
  const { child, exited, lines } = startMigration(from, to)
  await lines.next()
  const kill = setTimeout(() => child.kill('SIGKILL'), delayMs)
  const [, signal] = await exited
  clearTimeout(kill)
  return signal === 'SIGKILL'
}

function startMigration(...args: readonly string[]): {
  readonly child: ChildProcess
  readonly exited: Promise<unknown[]>
  readonly lines: AsyncIterator<string, undefined>
} {
  const child = spawn(process.execPath, [resolve('pkg/datastore/testing/run.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, exited: once(child, 'exit'), lines }
}
