import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { requireRoot } from '#cmd/require-root.ts'

export const stop = defineCommand({
  id: 'stop',
  summary: 'Stop the k0s that runs on this host',
  description:
    'Returns when its process is gone: a service is stopped by its init system, a foreground run by itself. Pods keep running, and the data stays.',
  examples: [{ description: 'Stop, whatever role it has', command: 'stop' }],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    timeout: flag.duration('how long to wait for the end of the process', { defaultMs: 120_000, minMs: 1 }),
  },
  run: async ({ flags, changed, io }) => {
    requireRoot(io, 'stop')
    const [{ statusClient }, { stopAndWait }, { installedService }, { serviceToStop }] = await Promise.all([
      import('#pkg/status/client.ts'),
      import('#pkg/status/wait.ts'),
      import('#pkg/install/detect.ts'),
      import('#pkg/install/start-stop.ts'),
    ])
    const timeoutMs = flags.timeout
    const client = statusClient(varsOf(flags).statusSocket)
    const pid = await client.get().then(
      ({ Pid }) => Pid,
      () => undefined, // asked again below if it is to stop itself
    )
    // A socket that was named and is silent is not the service's business.
    const installed = pid === undefined && changed.has('status-socket') ? undefined : await installedService()
    const service = await serviceToStop(installed, { pid })
    if (service !== undefined) await service.init.stop(service.role, { timeoutMs })
    else await stopAndWait(client, { timeoutMs, onProgress: (line) => io.stderr(`${line}\n`) })
  },
})
