import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { configFlags, logLevelOf, outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { workerFlags } from '#cmd/flags/worker.ts'
import { requireRoot } from '#cmd/require-root.ts'
import { untilSignal } from '#cmd/until-signal.ts'

export const reset = defineCommand({
  id: 'reset',
  summary: 'Remove every trace of k0s from this host, its data included',
  description:
    'Refuses while k0s runs. A controller leaves the members of etcd first, if there are others. Removes the service and the users of "k0s install", ends pods, unmounts, removes interfaces, rules and the data directory; volumes mounted from elsewhere and /etc/k0s stay. A fresh start of any role works afterwards, without a reboot.',
  examples: [{ description: 'Start over', command: 'reset' }],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: true }),
    ...configFlags,
    'kubelet-root-dir': workerFlags['kubelet-root-dir'],
    'cri-socket': flag.optionalText('container runtime that the node used instead of the built-in one', {
      unavailable: 'remove the pods of an external runtime with its own tools, then reset without this flag',
    }),
  },
  run: async ({ flags, io }) => {
    requireRoot(io, 'reset')
    const [{ resetNode }, { createLogger }, { removeServices, removeUsers }, { leaveEtcd }] = await Promise.all([
      import('#pkg/cleanup/reset.ts'),
      import('#pkg/log/winston.ts'),
      import('#pkg/install/remove.ts'),
      import('#pkg/role/reset-etcd.ts'),
    ])
    const log = createLogger({ level: logLevelOf(flags) })
    await untilSignal(async ({ signal }) => {
      await resetNode(
        {
          vars: varsOf(flags),
          first: [{ name: 'service', run: () => removeServices() }, leaveEtcd({ configFile: flags.config })],
          last: [{ name: 'users', run: () => removeUsers() }],
        },
        { log, signal },
      )
    })
  },
})
