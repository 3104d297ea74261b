import { readdir, readFile } from 'node:fs/promises'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/**
 * Stops (or continues) processes, and resolves once every thread of them stands still: the signal alone leaves threads on
 * other processors running for a moment, in which a server still answers.
 */
export async function freezeProcesses(pids: readonly number[], frozen: boolean): Promise<void> {
  for (const pid of pids) send(pid, frozen ? 'SIGSTOP' : 'SIGCONT')
  if (!frozen) return
  for (const pid of pids) while (!(await standsStill(pid))) await sleep(5)
}

function send(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it ended meanwhile
  }
}

async function standsStill(pid: number): Promise<boolean> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => [])
  const stats = tasks.map((task) => readFile(`/proc/${pid}/task/${task}/stat`, 'utf8').catch(() => ') T'))
  return (await Promise.all(stats)).every((stat) => /\) [TtZX]/.test(stat))
}
