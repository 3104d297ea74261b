import type { FlagTable, FlagValues } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { cfgVars, defaultConfigFile, defaultDataDir, type CfgVars } from '#pkg/config/cfg-vars.ts'
import type { LogOptions } from '#pkg/log/winston.ts'

/** Where the node's files are; on every command that reads or writes them. */
export const pathFlags = {
  'data-dir': flag.path('directory of all data of the node', { default: defaultDataDir }),
  'status-socket': flag.optionalPath('socket of the running node (default: <run-dir>/status.sock)'),
} satisfies FlagTable

/** How much is printed. */
export function outputFlags(options: { readonly verbose: boolean }) {
  return {
    verbose: flag.bool('print what happens, not only what is wrong', { short: 'v', default: options.verbose }),
    debug: flag.bool('print details, and the chain of causes of an error', { short: 'd', env: 'DEBUG' }),
    debugListenOn: flag.text('address of the profiling server', {
      default: ':6060',
      hidden: true,
      unavailable: 'there is no profiling server; --debug prints what happens in detail',
    }),
  } satisfies FlagTable
}

/** The cluster configuration of a controller. */
export const configFlags = {
  config: flag.path('cluster configuration, - reads standard input', { short: 'c', default: defaultConfigFile }),
} satisfies FlagTable

/** The paths that `pathFlags` (and the kubelet's root, where there is such a flag) derive. */
export function varsOf(flags: FlagValues<typeof pathFlags> & { readonly 'kubelet-root-dir'?: string }): CfgVars {
  return cfgVars({
    dataDir: flags['data-dir'],
    statusSocket: flags['status-socket'],
    kubeletRootDir: flags['kubelet-root-dir'],
  })
}

/** The log level that `outputFlags` ask for. */
export function logLevelOf(flags: { readonly verbose: boolean; readonly debug: boolean }): LogOptions['level'] {
  if (flags.debug) return 'debug'
  return flags.verbose ? 'info' : 'warn'
}
