import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { LeaderElection } from '#pkg/kubernetes/leader.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What exactly one controller does at a time. */
export interface LeaderTask {
  readonly name: string
  /** Goes on until `signal` aborts; one that fails is begun again. */
  run(signal: AbortSignal, log: Logger): Promise<void>
}

const RETRY_MS = 2_000

/** Elects one of the controllers, which runs the tasks for as long as it is. */
export function clusterLeader(
  options: { readonly identity: string; readonly tasks: readonly LeaderTask[]; readonly after: readonly string[] },
  deps: { readonly client: ClientSource },
): Component {
  const background = new Background()
  return {
    name: 'cluster-leader',
    after: ['kube-apiserver', ...options.after],
    start: async ({ log }: StartContext) => {
      const client = await deps.client.get()
      const { identity, tasks } = options
      const election = new LeaderElection({ namespace: 'kube-system', name: 'k0s-leader', identity }, { client, log })
      background.begin((signal) =>
        election.run(signal, async (leading) => {
          log.info('this controller leads')
          await Promise.all(tasks.map((task) => runTask(task, leading, log.child({ task: task.name }))))
          log.info('this controller does not lead any more')
        }),
      )
    },
    // Any controller may be the leader.
    ready: () => Promise.resolve(),
    stop: () => background.stop(),
  }
}

async function runTask(task: LeaderTask, signal: AbortSignal, log: Logger): Promise<void> {
  const stopped = (): boolean => signal.aborted
  while (!stopped()) {
    try {
      await task.run(signal, log)
    } catch (err) {
      if (!stopped()) log.error('task of the leader failed', { err: errorMessage(err) })
    }
    await sleep(RETRY_MS, { signal }).catch(() => undefined)
  }
}
