import type { Key, KeyVersion, LeaseRecord, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  AppendBatch,
  AppendResult,
  Dialect,
  LogPage,
  LogQuery,
  PruneResult,
  SharedLog,
  StoredState,
  UpstreamRow,
} from '#pkg/kine/dialect/dialect.ts'
import { Access } from '#pkg/kine/dialect/postgres/access.ts'
import { checkServer } from '#pkg/kine/dialect/postgres/check-server.ts'
import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { Follower } from '#pkg/kine/dialect/postgres/follower.ts'
import { Maintenance } from '#pkg/kine/dialect/postgres/maintenance.ts'
import { Pool } from '#pkg/kine/dialect/postgres/pool.ts'
import type { PoolOptions } from '#pkg/kine/dialect/pool-options.ts'
import { Reader } from '#pkg/kine/dialect/postgres/reader.ts'
import type { Row } from '#pkg/kine/dialect/postgres/row.ts'
import { ALARM_VERSION, checkReadable, migrate, readVersion, REST_VERSION } from '#pkg/kine/dialect/postgres/schema.ts'
import { ALARMS, NOTIFY, OLD_STATE, STATE } from '#pkg/kine/dialect/postgres/statements.ts'
import { readAlarms, readHead } from '#pkg/kine/dialect/postgres/version.ts'
import { Writer } from '#pkg/kine/dialect/postgres/writer.ts'
import type { PostgresEndpoint } from '#pkg/kine/endpoint/postgres.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { UPSTREAM_ONLY } from '#pkg/kine/import/incomplete.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Which database, and how many connections read from it. */
export interface PostgresOptions {
  readonly endpoint: PostgresEndpoint
  readonly pool: PoolOptions
  /** Nothing is changed, and no table is made; `append` and what else writes must not be called. Default false. */
  readonly readOnly?: boolean
}

const OPEN_TIMEOUT_MS = 60_000
const NOTIFY_TIMEOUT_MS = 1_400

/**
 * The log in a PostgreSQL database, which any number of instances share: a connection that writes, one that listens, a
 * few that read.
 */
export class PostgresDialect implements Dialect {
  readonly shared: SharedLog
  readonly #log: Logger
  readonly #readOnly: boolean
  readonly #access: Access
  readonly #pool: Pool
  readonly #reader: Reader
  readonly #writer: Writer
  readonly #maintenance: Maintenance
  #clusterId = 0

  constructor(options: PostgresOptions, deps: { readonly log: Logger }) {
    this.#log = deps.log
    this.#readOnly = options.readOnly === true
    const access = new Access(options.endpoint, deps)
    const pool = new Pool(options.pool, access)
    // Several stores can be in one database, each in a schema of its own; notifications and locks know no schemas.
    const channel = (): string => `k0s_kine_${this.#clusterId}`
    this.#access = access
    this.#pool = pool
    this.#reader = new Reader(pool)
    this.#writer = new Writer(access, channel)
    this.#maintenance = new Maintenance(pool, () => this.#clusterId)
    const notify = async (): Promise<void> => {
      await pool.read((connection) => connection.query(NOTIFY, [channel(), ''], { timeoutMs: NOTIFY_TIMEOUT_MS }))
    }
    this.shared = {
      head: () => this.#reader.head(),
      follow: (onHead) => new Follower({ access, channel, notify, onHead, log: deps.log }),
      lock: () => this.#writer.lock(),
      leasesAfter: (seq) => this.#reader.leasesAfter(seq),
    }
  }

  /** @throws KineError when the endpoint, its rights or the layout are wrong; StoreError 'unavailable' */
  async open(): Promise<StoredState> {
    const connection = await this.#access.connectFirst({ create: !this.#readOnly })
    try {
      await checkServer(connection, this.#log)
      const state = await this.#prepare(connection)
      this.#clusterId = state.clusterId
      this.#writer.adopt(connection)
      return state
    } catch (error) {
      connection.end()
      throw this.#access.explain(error)
    }
  }

  readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    return this.#reader.index(after)
  }

  append(batch: AppendBatch): Promise<AppendResult> {
    return this.#writer.append(batch)
  }

  readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    return this.#reader.values(ids)
  }

  readVersions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#reader.versions(keys, revision)
  }

  readLog(query: LogQuery): Promise<LogPage> {
    return this.#reader.log(query)
  }

  readUpstream(after: number): Promise<readonly UpstreamRow[]> {
    return this.#reader.upstream(after)
  }

  prune(through: Revision): Promise<PruneResult> {
    return this.#maintenance.prune(through)
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return this.#maintenance.size()
  }

  defragment(): Promise<void> {
    return this.#maintenance.defragment()
  }

  close(): Promise<void> {
    this.#writer.close()
    this.#pool.close()
    return Promise.resolve()
  }

  async #prepare(connection: Connection): Promise<StoredState> {
    if (!this.#readOnly) await migrate(connection, this.#log)
    else if ((await checkReadable(connection)) === 'upstream') return UPSTREAM_ONLY
    return await readState(connection)
  }
}

async function readState(connection: Connection): Promise<StoredState> {
  const leases: LeaseRecord[] = []
  const states: Omit<StoredState, 'leases' | 'alarms'>[] = []
  const onRow = (row: Row): void => {
    const head = readHead(row)
    states.push({ ...head, clusterId: row.number(), memberId: row.number(), prunedRevision: row.number() })
    if (!row.null()) leases.push({ id: row.lease(), ttlSeconds: row.number(), remainingMs: row.number() })
  }
  const version = await readVersion(connection)
  await connection.query(version < REST_VERSION ? OLD_STATE : STATE, [], { timeoutMs: OPEN_TIMEOUT_MS, onRow })
  const [state] = states
  if (state === undefined) throw new StoreError('unavailable', { cause: new Error('the head is missing') })
  const timeoutMs = OPEN_TIMEOUT_MS
  const alarms = version < ALARM_VERSION ? [] : await connection.first(ALARMS, [], { timeoutMs, read: readAlarms })
  return { ...state, leases, alarms: alarms ?? [] }
}
