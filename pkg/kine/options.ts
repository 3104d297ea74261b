import { resolve } from 'node:path'
import { KineError } from '#pkg/kine/errors.ts'
import type { WorkerFiles } from '#pkg/kine/dialect/sqlite/worker-client.ts'

/** Options of `k0s kine`, named after upstream kine's flags (camel case of `--listen-address`, …). */
export interface KineOptions {
  /** `unix:///path`, `tcp://host:port`. Default `tcp://127.0.0.1:2379`. */
  readonly listenAddress?: string | undefined
  /** `sqlite://file:/path?…` or `sqlite:///path`. Default `sqlite://./db/state.db`. */
  readonly endpoint?: string | undefined
  /** Certificate and key of the listener, PEM files; both or neither. */
  readonly serverCertFile?: string | undefined
  readonly serverKeyFile?: string | undefined
  /** CA of the clients' certificates, PEM file; with it, clients need one (etcd --trusted-ca-file). */
  readonly serverTrustedCaFile?: string | undefined
  /** `host:port` of the metrics listener, `0` or empty for none. Default none. */
  readonly metricsBindAddress?: string | undefined
  /** Interval of watch progress notifications, milliseconds. Default 5000. */
  readonly watchProgressNotifyIntervalMs?: number | undefined
  /** Bytes of recent changes kept in memory. Default 16 MiB. */
  readonly watchCacheBytes?: number | undefined
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

/** Which database, taken from --endpoint. */
export interface Endpoint {
  readonly type: 'sqlite'
  /** Absolute path of the database file. */
  readonly file: string
}

/**
 * Reads --endpoint. SQLite's query parameters (`mode`, `_journal`, `cache`, …) are accepted and ignored: journal mode
 * and durability are not left to the user.
 *
 * @throws KineError
 */
export function parseEndpoint(text: string): Endpoint {
  const scheme = /^([a-z0-9+]+):\/\//.exec(text)?.[1]
  if (scheme !== 'sqlite') {
    throw new KineError(
      scheme === undefined
        ? `--endpoint ${redact(text)}: no scheme; want sqlite:///path/to/file`
        : `--endpoint ${redact(text)}: database ${scheme} is not supported by this version; use sqlite:///path/to/file`,
    )
  }
  const path = text
    .slice('sqlite://'.length)
    .replace(/^file:/, '')
    .replace(/\?.*$/, '')
  if (path.includes(':memory:'))
    throw new KineError('--endpoint: an in-memory database is lost at restart; give a file')
  return { type: 'sqlite', file: resolve(path === '' ? './db/state.db' : path) }
}

/** A data source name without its password. */
function redact(text: string): string {
  return text.replace(/\/\/([^/@:]*):[^/@]*@/, '//$1:***@')
}
