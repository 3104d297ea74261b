import { defineCommand } from '#cmd/define.ts'
import type { FlagValues } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { configFlags, outputFlags } from '#cmd/flags/shared.ts'
import { EndedBySignal, untilSignal } from '#cmd/until-signal.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import type { NewStoreOptions } from '#pkg/datastore/open.ts'

const storeFlags = {
  from: flag.text('datastore to read', { env: 'K0S_DATASTORE_FROM' }),
  to: flag.text('empty datastore to fill', { env: 'K0S_DATASTORE_TO' }),
  'from-ca-file': flag.optionalPath('authority of the server that is read'),
  'from-cert-file': flag.optionalPath('client certificate for that server'),
  'from-key-file': flag.optionalPath('key of that certificate'),
  'from-etcd-prefix': flag.optionalText(
    'key prefix of the cluster in an etcd that runs elsewhere, as spec.storage.etcd.externalCluster.etcdPrefix (default: registry)',
  ),
  'to-ca-file': flag.optionalPath('authority of the server that is filled'),
  'to-cert-file': flag.optionalPath('client certificate for that server'),
  'to-key-file': flag.optionalPath('key of that certificate'),
}

const newStoreFlags = {
  'etcd-name': flag.optionalText('name of the member in a new data directory (default: name of this host)'),
  'etcd-peer-url': flag.optionalText(
    'URL of that member for other members (default: from spec.storage.etcd.peerAddress)',
  ),
  'work-dir': flag.optionalPath('directory for a copy of an etcd that is read (default: that of temporary files)'),
}

export const datastoreMigrate = defineCommand({
  id: 'datastore migrate',
  summary: 'Move a cluster to another datastore: SQLite, PostgreSQL, MySQL or etcd',
  description:
    'Every object keeps its revisions, leases their remaining time, and watches go on. Stop k0s on all controllers first; the source is only read. An interrupted migration goes on when the same command is run again, and the target is of no use to anybody until everything in it was read back and compared. Datastores are sqlite:///path, postgres://…, mysql://…, etcd:///path (a data directory) and, to read from, https://host:2379. Addresses with passwords belong in K0S_DATASTORE_FROM and K0S_DATASTORE_TO: everybody on the host sees a command line.',
  examples: [
    {
      description: 'From a single node to etcd, which other controllers can join',
      command: 'datastore migrate --from=sqlite:///var/lib/k0s/db/state.db --to=etcd:///var/lib/k0s/etcd',
    },
    {
      description: 'From etcd to the PostgreSQL that K0S_DATASTORE_TO names, with a summary for a script',
      command: 'datastore migrate --from=etcd:///var/lib/k0s/etcd --to-ca-file=/etc/ssl/postgres-ca.crt -o json',
    },
    {
      description: 'What that would do, without doing it',
      command: 'datastore migrate --dry-run --from=etcd:///var/lib/k0s/etcd --to-ca-file=/etc/ssl/postgres-ca.crt',
    },
    {
      description: 'The database of a k3s',
      command:
        'datastore migrate --from=sqlite:///var/lib/rancher/k3s/server/db/state.db --to=sqlite:///var/lib/k0s/db/state.db',
    },
  ],
  flags: {
    ...outputFlags({ verbose: true }),
    ...configFlags,
    ...storeFlags,
    ...newStoreFlags,
    'dry-run': flag.bool('only look: read the source, check both ends and say what would be done'),
    out: flag.choice('format of the summary', ['text', 'json'], { default: 'text', short: 'o' }),
  },
  run: async ({ flags, io }) => {
    const [{ runDryRun, runMigration }, { renderPlan, renderProgress, renderSummary }, { DatastoreError }] =
      await Promise.all([
        import('#pkg/datastore/run.ts'),
        import('#pkg/datastore/render.ts'),
        import('#pkg/datastore/errors.ts'),
      ])
    if (flags.from === '' || flags.to === '') {
      throw new DatastoreError('k0s datastore migrate needs --from and --to; see k0s datastore migrate --help')
    }
    const options = {
      from: { address: flags.from, tls: tlsOf(flags, 'from'), etcdPrefix: flags['from-etcd-prefix'] },
      to: { address: flags.to, tls: tlsOf(flags, 'to') },
      newStore: () => newStoreOptions(flags),
    }
    const deps = await openDeps(flags)
    const onProgress = (progress: Parameters<typeof renderProgress>[0]): void => {
      if (flags.verbose) io.stderr(`${renderProgress(progress)}\n`)
    }
    let text = ''
    await untilSignal(async ({ signal }) => {
      const running = { ...deps, signal, onProgress }
      try {
        text = flags['dry-run']
          ? renderPlan(await runDryRun(options, running), flags.out)
          : renderSummary(await runMigration(options, running), flags.out)
      } catch (cause) {
        if (!(cause instanceof EndedBySignal)) throw cause
        throw new DatastoreError('interrupted; run the same command again to go on', { cause })
      }
    })
    io.stdout(text)
  },
})

type Flags = FlagValues<typeof configFlags & typeof storeFlags & typeof newStoreFlags>

function tlsOf(flags: Flags, end: 'from' | 'to') {
  return { caFile: flags[`${end}-ca-file`], certFile: flags[`${end}-cert-file`], keyFile: flags[`${end}-key-file`] }
}

async function openDeps(flags: Flags & { readonly debug: boolean }) {
  const [
    { dialectFor, otherSessions },
    { createLogger },
    { sqliteFiles },
    { readBinTable, shippedFile },
    { layout },
    { tmpdir },
  ] = await Promise.all([
    import('#pkg/kine/dialect/open.ts'),
    import('#pkg/log/winston.ts'),
    import('#pkg/assets/product.ts'),
    import('#pkg/assets/bins.ts'),
    import('#pkg/assets/layout.ts'),
    import('node:os'),
  ])
  const log = createLogger({ level: flags.debug ? 'debug' : 'warn' })
  const { libDir } = layout()
  const onFailure = (err: Error): void => log.warn('a thread of the database has ended', { err })
  return {
    etcdProgram: async () => shippedFile(libDir, await readBinTable(libDir), 'etcd').path,
    openDialect: (endpoint: Parameters<typeof dialectFor>[0], options: Parameters<typeof dialectFor>[1]) =>
      dialectFor(endpoint, options, { files: { sqlite: sqliteFiles() }, log, onFailure }),
    otherSessions: (endpoint: Parameters<typeof dialectFor>[0]) => otherSessions(endpoint, { log }),
    workDir: flags['work-dir'] ?? tmpdir(),
  }
}

/** What a controller of this host would make: name and address of the member, owners of the files. */
async function newStoreOptions(flags: Flags): Promise<NewStoreOptions> {
  const [{ loadNodeConfig }, { lookupUser }, { ports }, { joinHostPort }] = await Promise.all([
    import('#pkg/config/load.ts'),
    import('#pkg/file/user.ts'),
    import('#pkg/constant/ports.ts'),
    import('#pkg/net/ip.ts'),
  ])
  const { nodeName, spec } = await loadNodeConfig({ configFile: flags.config, vars: cfgVars(), single: false })
  const { etcdUser, kineUser } = spec.installConfig.users
  const root = process.getuid?.() === 0
  return {
    memberName: flags['etcd-name'] ?? nodeName,
    peerUrl: flags['etcd-peer-url'] ?? `https://${joinHostPort(spec.storage.etcd.peerAddress, ports.etcdPeer)}`,
    etcdOwner: root ? await lookupUser(etcdUser) : undefined,
    kineOwner: root ? await lookupUser(kineUser) : undefined,
  }
}
