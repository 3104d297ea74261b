import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { requireRoot } from '#cmd/require-root.ts'

export const stop = defineCommand({
  id: 'stop',
  summary: 'Stop the k0s that runs on this host',
  description: 'Returns when its process is gone. Pods keep running, and the data stays.',
  examples: [{ description: 'Stop, whatever role it has', command: 'stop' }],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    timeout: flag.duration('how long to wait for the end of the process', { defaultMs: 120_000, minMs: 1 }),
  },
  run: async ({ flags, io }) => {
    requireRoot(io, 'stop')
    const [{ statusClient }, { stopAndWait }] = await Promise.all([
      import('#pkg/status/client.ts'),
      import('#pkg/status/wait.ts'),
    ])
    await stopAndWait(statusClient(varsOf(flags).statusSocket), {
      timeoutMs: flags.timeout,
      onProgress: (line) => io.stderr(`${line}\n`),
    })
  },
})
