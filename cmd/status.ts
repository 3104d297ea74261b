import { defineCommand, type CommandIo } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'

const formatFlag = {
  out: flag.choice('format of the output', ['text', 'json', 'yaml'], { default: 'text', short: 'o' }),
}

export const status = defineCommand({
  id: 'status',
  summary: 'Show whether k0s runs here, as what, and how it is',
  examples: [
    { description: 'What runs here', command: 'status' },
    { description: 'Wait until every component is ready', command: 'status --wait-ready --timeout=3m' },
    { description: 'For a script', command: 'status -o json' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    ...formatFlag,
    'wait-ready': flag.bool('wait until every component is ready, showing which are not'),
    timeout: flag.duration('with --wait-ready: how long to wait', { defaultMs: 300_000, minMs: 1 }),
  },
  run: async ({ flags, io }) => {
    const [{ statusClient }, { renderStatus }] = await Promise.all([
      import('#pkg/status/client.ts'),
      import('#pkg/status/render.ts'),
    ])
    const client = statusClient(varsOf(flags).statusSocket)
    const info = flags['wait-ready']
      ? await waitReadyWithProgress(io, client, flags.timeout)
      : await withServiceHint(client.socketPath, () => client.get())
    io.stdout(renderStatus(info, flags.out))
  },
})

export const statusComponents = defineCommand({
  id: 'status components',
  summary: 'Show the state of every component',
  examples: [
    { description: 'A table', command: 'status components' },
    { description: 'The last three events of each', command: 'status components --max-count=3 -o json' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    ...formatFlag,
    'max-count': flag.integer('probes and events of each component', { default: 1, min: 1, max: 64 }),
  },
  run: async ({ flags, io }) => {
    const [{ statusClient }, { renderComponents }] = await Promise.all([
      import('#pkg/status/client.ts'),
      import('#pkg/status/render.ts'),
    ])
    const client = statusClient(varsOf(flags).statusSocket)
    const [{ Components: components }, info] = await withServiceHint(client.socketPath, () =>
      Promise.all([client.get(), client.components({ maxCount: flags['max-count'] })]),
    )
    io.stdout(renderComponents({ components, info }, flags.out))
  },
})

async function waitReadyWithProgress(
  io: CommandIo,
  client: ReturnType<typeof import('#pkg/status/client.ts').statusClient>,
  timeoutMs: number,
) {
  const { waitReady } = await import('#pkg/status/wait.ts')
  return waitReady(client, { timeoutMs, onProgress: (line) => io.stderr(`${line}\n`) })
}

/** Where nothing answers but a service is installed, the error says how that one is. */
async function withServiceHint<T>(socketPath: string, ask: () => Promise<T>): Promise<T> {
  const { NotRunningError } = await import('#pkg/status/errors.ts')
  try {
    return await ask()
  } catch (err) {
    if (!(err instanceof NotRunningError)) throw err
    const [{ installedService }, { serviceHint }] = await Promise.all([
      import('#pkg/install/detect.ts'),
      import('#pkg/install/start-stop.ts'),
    ])
    const service = await installedService()
    if (service === undefined) throw err
    throw new NotRunningError(socketPath, { cause: err, hint: await serviceHint(service) })
  }
}
