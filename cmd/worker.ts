import { defineCommand } from '#cmd/define.ts'
import { logLevelOf, outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { defaultLogging, workerFlags, workerOptions } from '#cmd/flags/worker.ts'
import { requireRoot } from '#cmd/require-root.ts'
import { untilSignal } from '#cmd/until-signal.ts'

/** The argument of everything that may join. */
export const joinTokenArg = {
  name: 'join-token',
  description: 'token made by "k0s token create"; else --token-file or K0S_TOKEN has it',
} as const

/** The command line as the status shows it: without the join token, with which anybody could join. */
export function shownArgs(argv: readonly string[], joinToken: string | undefined): readonly string[] {
  return argv.map((word) => (word === joinToken && word !== '' ? `<${joinTokenArg.name}>` : word))
}

/** Everything that `worker` and `install worker` take. */
export const workerCommandFlags = { ...pathFlags, ...outputFlags({ verbose: true }), ...workerFlags }

export const worker = defineCommand({
  id: 'worker',
  summary: 'Run a worker: a host that runs pods',
  description:
    'Joins the cluster that the token is for and runs in the foreground until SIGTERM. A host that has joined needs the token no more. Pods keep running when it stops.',
  examples: [
    {
      description: 'Join with a token in a file, so that it is in no process list',
      command: 'worker --token-file /etc/k0s/token',
    },
    {
      description: 'Join with labels and a taint',
      command: 'worker --labels=disk=ssd --taints=only=gpu:NoSchedule <token>',
    },
  ],
  args: [joinTokenArg],
  flags: workerCommandFlags,
  withoutOclif: true,
  run: async ({ flags, args, io }) => {
    requireRoot(io, 'worker')
    const [{ runWorker }, { createLogger }, { productVersion }, { tokenSource }] = await Promise.all([
      import('#pkg/role/worker.ts'),
      import('#pkg/log/winston.ts'),
      import('#pkg/assets/product.ts'),
      import('#pkg/token/token-source.ts'),
    ])
    const log = createLogger({ level: logLevelOf(flags) })
    const options = {
      ...workerOptions(flags),
      vars: varsOf(flags),
      logLevels: { ...defaultLogging, ...flags.logging },
      joinToken: tokenSource({
        argument: args[0],
        file: flags['token-file'],
        environment: io.env['K0S_TOKEN'],
      }),
      version: productVersion(),
      args: shownArgs(process.argv.slice(2), args[0]),
    }
    await untilSignal(({ signal }) => runWorker(options, { log, signal }), {
      unheardHangup: () => log.warn('SIGHUP without effect: a worker has nothing to read anew'),
    })
  },
})
