import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags } from '#cmd/flags/shared.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { K0sError } from '#pkg/errors/error.ts'

/** A check says that the host cannot run k0s. */
export class SysinfoError extends K0sError {
  override readonly code = 'ERR_PRE_FLIGHT'
}

export const sysinfo = defineCommand({
  id: 'sysinfo',
  summary: 'Check whether this host can run k0s',
  description: 'Exits with 1 if a check rejects the host; a warning does not.',
  examples: [
    { description: 'All checks', command: 'sysinfo' },
    { description: 'Only what a controller needs, for a script', command: 'sysinfo --worker=false -o json' },
  ],
  flags: {
    'data-dir': pathFlags['data-dir'],
    ...outputFlags({ verbose: false }),
    controller: flag.bool('check what a controller needs', { default: true }),
    worker: flag.bool('check what a worker needs', { default: true }),
    output: flag.choice('format of the output', ['text', 'json', 'yaml'], { default: 'text', short: 'o' }),
  },
  run: async ({ flags, io }) => {
    const [{ collectSysinfo, rejections, renderSysinfo }, { stringify }] = await Promise.all([
      import('#pkg/sysinfo/sysinfo.ts'),
      import('yaml'),
    ])
    const { controller, worker, 'data-dir': dataDir } = flags
    const path = `${cfgVars({ dataDir }).binDir}:${io.env['PATH'] ?? ''}:/usr/sbin:/sbin`
    const rows = await collectSysinfo({ controller, worker, dataDir, path })
    const rendered = {
      text: () => renderSysinfo(rows),
      json: () => `${JSON.stringify(rows, undefined, 2)}\n`,
      yaml: () => stringify(rows, { lineWidth: 0 }),
    }
    io.stdout(rendered[flags.output]())
    const names = rejections(rows).map(({ displayName }) => displayName)
    if (names.length > 0) throw new SysinfoError(`this host cannot run k0s: ${names.join(', ')}; see the output`)
  },
})
