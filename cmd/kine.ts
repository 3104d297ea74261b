import { defineCommand } from '#cmd/define.ts'
import type { FlagTable } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { logLevelOf, outputFlags } from '#cmd/flags/shared.ts'
import { untilSignal } from '#cmd/until-signal.ts'
import {
  DEFAULT_ENDPOINT,
  DEFAULT_LISTEN_ADDRESS,
  DEFAULT_MAX_IDLE_CONNECTIONS,
  DEFAULT_MAX_IDLE_TIME_MS,
  DEFAULT_METRICS_BIND_ADDRESS,
  DEFAULT_SLOW_MS,
  DEFAULT_VALUE_CACHE_BYTES,
  DEFAULT_WATCH_CACHE_BYTES,
} from '#pkg/kine/options.ts'

/** Flags of the upstream program that change nothing here: accepted, so that a command line goes on working. */
const withoutEffect = {
  'log-format': flag.text('format of the log', { default: 'plain', env: 'KINE_LOG_FORMAT', hidden: true }),
  'metrics-enable-profiling': flag.bool('', { env: 'KINE_METRICS_ENABLE_PROFILING', hidden: true }),
  'slow-sql-warning-threshold': flag.duration('', {
    defaultMs: 5_000,
    env: 'KINE_SLOW_SQL_WARNING_THRESHOLD',
    hidden: true,
  }),
  'emulated-etcd-version': flag.text('', { env: 'KINE_EMULATED_ETCD_VERSION', hidden: true }),
  'compact-interval': flag.duration('', { defaultMs: 0, env: 'KINE_COMPACT_INTERVAL', hidden: true }),
  'compact-interval-jitter': flag.integer('', { default: 0, env: 'KINE_COMPACT_INTERVAL_JITTER', hidden: true }),
  'compact-timeout': flag.duration('', { defaultMs: 5_000, env: 'KINE_COMPACT_TIMEOUT', hidden: true }),
  'compact-min-retain': flag.integer('', { default: 1_000, env: 'KINE_COMPACT_MIN_RETAIN', hidden: true }),
  'compact-batch-size': flag.integer('', { default: 1_000, env: 'KINE_COMPACT_BATCH_SIZE', hidden: true }),
  'poll-batch-size': flag.integer('', { default: 500, env: 'KINE_POLL_BATCH_SIZE', hidden: true }),
} satisfies FlagTable

/** Of no effect on SQLite. */
const databaseFlags = {
  'ca-file': flag.optionalPath('authority of the database server', { env: 'KINE_CA_FILE' }),
  'cert-file': flag.optionalPath('certificate for the database server', { env: 'KINE_CERT_FILE' }),
  'key-file': flag.optionalPath('key of that certificate', { env: 'KINE_KEY_FILE' }),
  'skip-verify': flag.bool('encrypt to the database without asking who answers', { env: 'KINE_SKIP_VERIFY' }),
  'datastore-max-open-connections': flag.integer('connections to the database at most, 0 for 8; three are needed', {
    default: 0,
    env: 'KINE_DATASTORE_MAX_OPEN_CONNECTIONS',
  }),
  'datastore-max-idle-connections': flag.integer('of these, how many stay without work; negative for none', {
    default: DEFAULT_MAX_IDLE_CONNECTIONS,
    env: 'KINE_DATASTORE_MAX_IDLE_CONNECTIONS',
  }),
  'datastore-connection-max-lifetime': flag.duration('age at which they are closed, 0s for never', {
    defaultMs: 0,
    env: 'KINE_DATASTORE_CONNECTION_MAX_LIFETIME',
  }),
  'datastore-connection-max-idle-time': flag.duration('time without work after which they are closed, 0s for never', {
    defaultMs: DEFAULT_MAX_IDLE_TIME_MS,
    env: 'KINE_DATASTORE_CONNECTION_MAX_IDLE_TIME',
  }),
} satisfies FlagTable

const serverFlags = {
  'listen-address': flag.text('address of the etcd API, tcp://host:port or unix:///path', {
    default: DEFAULT_LISTEN_ADDRESS,
    env: 'KINE_LISTEN_ADDRESS',
  }),
  endpoint: flag.text('database: sqlite:///path, postgres://… or mysql://…', {
    default: DEFAULT_ENDPOINT,
    env: 'KINE_ENDPOINT',
  }),
  'server-cert-file': flag.optionalPath('certificate of the listener', { env: 'KINE_SERVER_CERT_FILE' }),
  'server-key-file': flag.optionalPath('key of that certificate', { env: 'KINE_SERVER_KEY_FILE' }),
  'trusted-ca-file': flag.optionalPath("authority of the clients' certificates; clients then need one", {
    env: 'KINE_TRUSTED_CA_FILE',
  }),
  'metrics-bind-address': flag.text('address of metrics and health, host:port, without TLS; 0 for none', {
    default: DEFAULT_METRICS_BIND_ADDRESS,
    env: 'KINE_METRICS_BIND_ADDRESS',
  }),
  // The metrics are never served with TLS.
  'metrics-ignore-tls-config': flag.bool('', { env: 'KINE_METRICS_IGNORE_TLS_CONFIG', hidden: true }),
  'watch-progress-notify-interval': flag.duration('interval of watch progress notifications', {
    defaultMs: 5_000,
    minMs: 100,
    env: 'KINE_WATCH_PROGRESS_NOTIFY_INTERVAL',
  }),
  'watch-cache-bytes': flag.integer('bytes of recent changes kept in memory (not upstream)', {
    default: DEFAULT_WATCH_CACHE_BYTES,
    min: 1024 * 1024,
  }),
  'value-cache-bytes': flag.integer('bytes of single values kept in memory (not upstream)', {
    default: DEFAULT_VALUE_CACHE_BYTES,
    min: 0,
  }),
  'slow-sql-threshold': flag.duration('log database calls and requests that take longer; 0s for none', {
    defaultMs: DEFAULT_SLOW_MS,
    env: 'KINE_SLOW_SQL_THRESHOLD',
  }),
  'quota-backend-bytes': flag.integer('size in use from which on writes are refused, as in etcd; 0 for none', {
    default: 0,
    min: 0,
    env: 'KINE_QUOTA_BACKEND_BYTES',
  }),
} satisfies FlagTable

export const kine = defineCommand({
  id: 'kine',
  summary: 'Serve the etcd API over an SQL database',
  description:
    'A controller with kine storage runs it by itself. On its own it takes the flags of the upstream kine. An endpoint with a password belongs in KINE_ENDPOINT: everybody on the host sees a command line.',
  examples: [
    {
      description: 'An etcd on SQLite, for one API server',
      command: 'kine --endpoint=sqlite:///var/lib/kine/state.db --listen-address=tcp://127.0.0.1:2379',
    },
    {
      description:
        'An etcd on PostgreSQL, which other hosts may serve at the same time; KINE_ENDPOINT names the database',
      command: 'kine --listen-address=unix:///run/kine.sock --ca-file=/etc/ssl/postgres-ca.crt',
    },
    {
      description: 'The same with MariaDB or MySQL, metrics for the host only, and writes refused from 8 GiB on',
      command:
        "kine --endpoint='mysql://kine@tcp(db.example:3306)/kubernetes' --ca-file=/etc/ssl/mysql-ca.crt --metrics-bind-address=127.0.0.1:2380 --quota-backend-bytes=8589934592",
    },
  ],
  flags: { ...outputFlags({ verbose: true }), ...serverFlags, ...databaseFlags, ...withoutEffect },
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
      trustedCaFile: flags['trusted-ca-file'],
      metricsBindAddress: flags['metrics-bind-address'],
      watchProgressNotifyIntervalMs: flags['watch-progress-notify-interval'],
      watchCacheBytes: flags['watch-cache-bytes'],
      valueCacheBytes: flags['value-cache-bytes'],
      slowSqlThresholdMs: flags['slow-sql-threshold'],
      quotaBackendBytes: flags['quota-backend-bytes'],
      caFile: flags['ca-file'],
      certFile: flags['cert-file'],
      keyFile: flags['key-file'],
      skipVerify: flags['skip-verify'],
      datastoreMaxOpenConnections: flags['datastore-max-open-connections'],
      datastoreMaxIdleConnections: flags['datastore-max-idle-connections'],
      datastoreConnectionMaxLifetimeMs: flags['datastore-connection-max-lifetime'],
      datastoreConnectionMaxIdleTimeMs: flags['datastore-connection-max-idle-time'],
    }
    const log = createLogger({ level: logLevelOf(flags) })
    const ignored = Object.entries(withoutEffect).filter(([name, { default: none }]) => flagValue(flags, name) !== none)
    if (ignored.length > 0) {
      log.warn('flags of the upstream kine that have no effect here', { flags: ignored.map(([name]) => `--${name}`) })
    }
    await untilSignal(({ signal }) => runKine(options, { log, signal, files: { sqlite: sqliteFiles() } }))
  },
})

function flagValue(flags: Readonly<Record<string, unknown>>, name: string): unknown {
  return flags[name]
}
