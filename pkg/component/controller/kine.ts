import { dirname, join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { ensureDir, ensureOwnedDir } from '#pkg/file/directory.ts'
import { ProbeError, probeHttp, probeUnix } from '#pkg/net/probe.ts'
import { type Flags, mergeExtraArgs } from '#pkg/supervisor/args.ts'

/** The etcd API over SQL: `k0s kine` as a child of its own, since its user and its loads are not the supervisor's. */
export function kine(options: ControllerOptions, deps: ControllerDeps): Component {
  const { vars, users } = options
  return new ProcessComponent(
    {
      name: 'kine',
      after: [],
      prepare: async () => {
        const [{ path, args }] = await Promise.all([
          deps.binaries.self('kine', kineArgs(options)),
          ensureDir(vars.dataDir, { mode: modes.dataDir }).then(() =>
            ensureOwnedDir(dirname(vars.kineDbFile), { mode: modes.kineDbDir, ...users.kine }),
          ),
          ensureDir(dirname(vars.kineSocket), { mode: 0o755, ...users.kine }),
        ])
        return {
          name: 'kine',
          path,
          args,
          env: kineEnvironment(options),
          user: users.kine,
          pidFile: join(vars.runDir, 'kine.pid'),
          stopGraceMs: 15_000,
        }
      },
      probe: async (signal) => {
        await probeUnix(vars.kineSocket, { signal })
        await probeDatabase(metricsAddress(kineArgs(options)), { signal })
      },
    },
    deps,
  )
}

/**
 * Flags of `k0s kine`; the names are those of the upstream program. A data source may hold a password, which must not stand
 * in a command line: it is in the environment. Pure: a golden file pins them.
 */
export function kineArgs(options: ControllerOptions): string[] {
  const { vars, spec } = options
  const { extraArgs, rawArgs } = spec.storage.kine
  const ownFlags: Flags = {
    'listen-address': `unix://${vars.kineSocket}`,
    // Upstream's default would show them to the network, without TLS.
    'metrics-bind-address': '127.0.0.1:2380',
    ...(kineDataSource(options.spec) === undefined && {
      endpoint: `sqlite://file:${vars.kineDbFile}?mode=rwc&_journal=WAL`,
    }),
  }
  const named = Object.entries(extraArgs).filter(([name]) => name.replace(/^--?/, '') !== 'endpoint')
  return mergeExtraArgs(ownFlags, Object.fromEntries(named), rawArgs)
}

/** Whole environment of `k0s kine`: only its user and root can read it. */
export function kineEnvironment(options: ControllerOptions): Readonly<Record<string, string>> {
  const dataSource = kineDataSource(options.spec)
  return dataSource === undefined ? {} : { KINE_ENDPOINT: dataSource }
}

/** The database that was given; undefined: SQLite in the data directory. */
export function kineDataSource({ storage }: Pick<ControllerOptions['spec'], 'storage'>): string | undefined {
  const { dataSource, extraArgs } = storage.kine
  return extraArgs['endpoint'] ?? extraArgs['--endpoint'] ?? dataSource
}

/** `host:port` of /metrics and /health; undefined when they are switched off. Pure. */
export function metricsAddress(args: readonly string[]): string | undefined {
  const prefix = '--metrics-bind-address='
  // As kine does: the last one counts.
  const address = args.findLast((arg) => arg.startsWith(prefix))?.slice(prefix.length) ?? ''
  if (address === '' || address === '0') return undefined
  return address.startsWith(':') ? `127.0.0.1${address}` : address
}

/** That kine listens does not mean that its database serves. @throws ProbeError with the reason that kine gives */
async function probeDatabase(address: string | undefined, { signal }: { readonly signal: AbortSignal }): Promise<void> {
  if (address === undefined) return
  try {
    await probeHttp(`http://${address}/health`, { signal })
  } catch (err) {
    const reason = /"reason":"(.*?)"[,}]/.exec(errorMessage(err))?.[1]?.replace(/^RANGE ERROR:(etcdserver: )?/, '')
    if (signal.aborted) throw new ProbeError('the database does not answer in time', { cause: err })
    if (reason === undefined) return // nobody answers, or another program: kine serves without that port, too
    throw new ProbeError(`the database does not serve: ${reason}`, { cause: err })
  }
}
