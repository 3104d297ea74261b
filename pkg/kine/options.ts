import type { WorkerFiles } from '#pkg/kine/dialect/sqlite/worker-client.ts'

/** Options of `k0s kine`, named after upstream kine's flags (camel case of `--listen-address`, …). */
export interface KineOptions extends DatabaseOptions {
  /** `unix:///path`, `tcp://host:port`. Default `tcp://127.0.0.1:2379`. */
  readonly listenAddress?: string | undefined
  /** `sqlite://file:/path?…`, `postgres://…`, `mysql://…`. Default `sqlite://./db/state.db`. May hold a password. */
  readonly endpoint?: string | undefined
  /** Certificate and key of the listener, PEM files; both or neither. */
  readonly serverCertFile?: string | undefined
  readonly serverKeyFile?: string | undefined
  /** CA of the clients' certificates, PEM file; with it, clients need one. */
  readonly trustedCaFile?: string | undefined
  /** `host:port` of the metrics listener, `0` for none, empty for upstream's `:8080`. Default none. */
  readonly metricsBindAddress?: string | undefined
  /** Interval of watch progress notifications, milliseconds. Default 5000. */
  readonly watchProgressNotifyIntervalMs?: number | undefined
  /** Bytes of recent changes kept in memory. Default 16 MiB. */
  readonly watchCacheBytes?: number | undefined
  /** Bytes of single values kept in memory. Default 2 MiB. */
  readonly valueCacheBytes?: number | undefined
  /** Calls to the database and requests that take longer are logged, milliseconds; 0 for none. Default 1000. */
  readonly slowSqlThresholdMs?: number | undefined
  /** Size in use of the database from which on writes are refused, as etcd's quota; 0 for none. Default 0. */
  readonly quotaBackendBytes?: number | undefined
}

/** How a database server is reached; of no effect on SQLite. */
export interface DatabaseOptions {
  /** TLS to the database, PEM files. */
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  /** Encrypts without asking who answers. */
  readonly skipVerify?: boolean | undefined
  /** Connections at most, 0 for the default of 8; at least three are used. */
  readonly datastoreMaxOpenConnections?: number | undefined
  /** Of those that read, how many stay without work. 0: as many as there are; negative: none. Default 20. */
  readonly datastoreMaxIdleConnections?: number | undefined
  /** Age at which a connection that reads is closed, milliseconds, 0 for never. Default 0. */
  readonly datastoreConnectionMaxLifetimeMs?: number | undefined
  /** Time without work after which it is closed, milliseconds, 0 for never. Default two minutes. */
  readonly datastoreConnectionMaxIdleTimeMs?: number | undefined
}

/** Files of this product that kine needs; from pkg/assets. */
export interface KineFiles {
  /** Entry file of the SQLite threads and better_sqlite3.node. */
  readonly sqlite: WorkerFiles
}

/** Default of --listen-address. */
export const DEFAULT_LISTEN_ADDRESS = 'tcp://127.0.0.1:2379'
/** Default of --endpoint, as upstream. */
export const DEFAULT_ENDPOINT = 'sqlite://./db/state.db'
/** Default of --metrics-bind-address, as upstream. */
export const DEFAULT_METRICS_BIND_ADDRESS = ':8080'
/** Default of --slow-sql-threshold, as upstream. */
export const DEFAULT_SLOW_MS = 1_000
/** Defaults of --watch-cache-bytes and --value-cache-bytes. */
export const DEFAULT_WATCH_CACHE_BYTES = 16 * 1024 * 1024
export const DEFAULT_VALUE_CACHE_BYTES = 2 * 1024 * 1024
/** Default of --datastore-max-open-connections; upstream sets no limit. */
export const DEFAULT_MAX_OPEN_CONNECTIONS = 8
/** Defaults of --datastore-max-idle-connections and --datastore-connection-max-idle-time, as upstream. */
export const DEFAULT_MAX_IDLE_CONNECTIONS = 20
export const DEFAULT_MAX_IDLE_TIME_MS = 120_000
