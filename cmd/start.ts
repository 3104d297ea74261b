import { defineCommand } from '#cmd/define.ts'
import { outputFlags } from '#cmd/flags/shared.ts'
import { requireRoot } from '#cmd/require-root.ts'

export const start = defineCommand({
  id: 'start',
  summary: 'Start the service that "k0s install" made',
  description: 'Returns when the init system has started it; "k0s status --wait-ready" waits until it serves.',
  examples: [{ description: 'Start, whatever role it has', command: 'start' }],
  flags: outputFlags({ verbose: false }),
  run: async ({ io }) => {
    requireRoot(io, 'start')
    const [{ requireService }, { startService }, { cfgVars }, { lockHolder }] = await Promise.all([
      import('#pkg/install/detect.ts'),
      import('#pkg/install/start-stop.ts'),
      import('#pkg/config/cfg-vars.ts'),
      import('#pkg/file/lock.ts'),
    ])
    await startService(await requireService(), { runningPid: await lockHolder(cfgVars().lockFile) })
  },
})
