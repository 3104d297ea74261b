import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { logLevelOf, outputFlags } from '#cmd/flags/shared.ts'
import { untilSignal } from '#cmd/until-signal.ts'

const clientCompacts = 'kube-apiserver asks for compactions, and the database is kept small by them'

export const kine = defineCommand({
  id: 'kine',
  summary: 'Serve the etcd API over an SQL database',
  description: 'A controller with --single runs it by itself. On its own it takes the flags of the upstream kine.',
  examples: [
    {
      description: 'An etcd on SQLite, for one API server',
      command: 'kine --endpoint=sqlite:///var/lib/kine/state.db --listen-address=tcp://127.0.0.1:2379',
    },
  ],
  flags: {
    ...outputFlags({ verbose: true }),
    'listen-address': flag.text('address of the etcd API, tcp://host:port or unix:///path', {
      default: 'tcp://127.0.0.1:2379',
    }),
    endpoint: flag.text('database, sqlite:///path', { default: 'sqlite://./db/state.db' }),
    'server-cert-file': flag.optionalPath('certificate of the listener'),
    'server-key-file': flag.optionalPath('key of that certificate'),
    'server-trusted-ca-file': flag.optionalPath("authority of the clients' certificates; clients then need one"),
    'metrics-bind-address': flag.text('address of the metrics, host:port; 0 for none', { default: '0' }),
    'watch-progress-notify-interval': flag.duration('interval of watch progress notifications', {
      defaultMs: 5_000,
      minMs: 100,
    }),
    'watch-cache-bytes': flag.integer('bytes of recent changes kept in memory (not upstream)', {
      default: 16 * 1024 * 1024,
      min: 1024 * 1024,
    }),
    'compact-interval': flag.duration('0s: only clients compact', { defaultMs: 0, unavailable: clientCompacts }),
  },
  withoutOclif: true,
  run: async ({ flags }) => {
    const [{ runKine }, { createLogger }, { sqliteFiles }] = await Promise.all([
      import('#pkg/kine/run.ts'),
      import('#pkg/log/winston.ts'),
      import('#pkg/assets/product.ts'),
    ])
    const options = {
      listenAddress: flags['listen-address'],
      endpoint: flags.endpoint,
      serverCertFile: flags['server-cert-file'],
      serverKeyFile: flags['server-key-file'],
      serverTrustedCaFile: flags['server-trusted-ca-file'],
      metricsBindAddress: flags['metrics-bind-address'],
      watchProgressNotifyIntervalMs: flags['watch-progress-notify-interval'],
      watchCacheBytes: flags['watch-cache-bytes'],
    }
    const log = createLogger({ level: logLevelOf(flags) })
    await untilSignal((signal) => runKine(options, { log, signal, files: { sqlite: sqliteFiles() } }))
  },
})
