import { errorMessage } from '#pkg/errors/error.ts'
import type { Key, KeyVersion, Revision, RowId } from '#pkg/kine/backend.ts'
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
import { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import { errno, errnoOf, isRefusal, MysqlError, toStoreError } from '#pkg/kine/dialect/mysql/errors.ts'
import { leasesAfter } from '#pkg/kine/dialect/mysql/lease-log.ts'
import { readLog, readValues, readVersions } from '#pkg/kine/dialect/mysql/log-reader.ts'
import { LogWriter } from '#pkg/kine/dialect/mysql/log-writer.ts'
import { readSize, rebuildTables } from '#pkg/kine/dialect/mysql/maintenance.ts'
import { Pruner } from '#pkg/kine/dialect/mysql/pruner.ts'
import { ReaderPool } from '#pkg/kine/dialect/mysql/reader-pool.ts'
import type { PoolOptions } from '#pkg/kine/dialect/pool-options.ts'
import { checkReadable, migrate } from '#pkg/kine/dialect/mysql/schema.ts'
import { checkServer } from '#pkg/kine/dialect/mysql/server-check.ts'
import type { Session } from '#pkg/kine/dialect/mysql/session.ts'
import { Snapshot } from '#pkg/kine/dialect/mysql/snapshot.ts'
import { Tail } from '#pkg/kine/dialect/mysql/tail.ts'
import { readUpstream } from '#pkg/kine/dialect/mysql/upstream-table.ts'
import { describeEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { MysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'
import { KineError, NoDatastoreError } from '#pkg/kine/errors.ts'
import { UPSTREAM_ONLY } from '#pkg/kine/import/incomplete.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Which database, and how many sessions read from it; three more write, look at the head and prune. */
export interface MysqlOptions {
  readonly endpoint: MysqlEndpoint
  readonly pool: PoolOptions
  /** Nothing is changed, and nothing made; `append` and what else writes must not be called. Default false. */
  readonly readOnly?: boolean
}

/** What MysqlDialect needs of its surroundings. */
export interface MysqlDeps {
  readonly log: Logger
}

const QUERY_MS = 5_000
/** A snapshot that nobody reads to its end would keep tables from being rebuilt, and old versions from going. */
const SNAPSHOT_IDLE_SECONDS = 30

/** The log in a MySQL or MariaDB database, shared by any number of instances. */
export class MysqlDialect implements Dialect {
  readonly shared: SharedLog
  readonly #endpoint: MysqlEndpoint
  readonly #log: Logger
  readonly #readOnly: boolean
  readonly #connector: Connector
  readonly #writer: LogWriter
  readonly #tail: Tail
  readonly #readers: ReaderPool
  readonly #pruner: Pruner
  /** What `readIndex` is reading. */
  #snapshot: Snapshot | undefined
  #mariadb = true

  constructor({ endpoint, pool, readOnly = false }: MysqlOptions, { log }: MysqlDeps) {
    this.#endpoint = endpoint
    this.#log = log
    this.#readOnly = readOnly
    this.#connector = new Connector(endpoint, { log, onOutage: (error) => this.#breakOff(error) })
    this.#writer = new LogWriter(this.#connector)
    this.#tail = new Tail(this.#connector, () => this.#writer.committed)
    this.#readers = new ReaderPool(pool, this.#connector)
    this.#pruner = new Pruner(this.#connector)
    this.shared = {
      head: () => translated(this.#tail.head()),
      follow: (onHead) => this.#tail.follow(onHead),
      lock: () => translated(this.#writer.lock()),
      leasesAfter: (seq) => this.#read((session) => leasesAfter(session, seq)),
    }
  }

  /** Creates the database and its tables if need be. @throws KineError, StoreError */
  async open(): Promise<StoredState> {
    try {
      return await this.#open()
    } catch (error) {
      if (error instanceof KineError) throw error
      if (!isRefusal(error)) throw toStoreError(error)
      throw new KineError(
        `cannot open database ${describeEndpoint(this.#endpoint)}: ${errorMessage(error)}; check user, password, privileges and TLS`,
        { cause: error },
      )
    }
  }

  async readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    return await translated(this.#readIndex(after))
  }

  async append(batch: AppendBatch): Promise<AppendResult> {
    return await translated(this.#writer.append(batch))
  }

  readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    return this.#read((session) => readValues(session, ids))
  }

  readVersions(keys: readonly Key[], revision: Revision): Promise<readonly (KeyVersion | undefined)[]> {
    return this.#read((session) => readVersions(session, keys, revision))
  }

  readLog(query: LogQuery): Promise<LogPage> {
    return this.#read((session) => readLog(session, query))
  }

  readUpstream(after: number): Promise<readonly UpstreamRow[]> {
    return this.#read((session) => readUpstream(session, after))
  }

  prune(through: Revision): Promise<PruneResult> {
    return translated(this.#pruner.prune(through))
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return this.#read((session) => readSize(session, this.#mariadb))
  }

  async defragment(): Promise<void> {
    await this.#snapshot?.end()
    await translated(this.#alone((session) => rebuildTables(session)))
  }

  async close(): Promise<void> {
    this.#connector.close()
    const parts = [this.#tail, this.#writer, this.#readers, this.#pruner]
    await Promise.all([...parts.map((part) => part.close()), this.#snapshot?.end()])
  }

  async #open(): Promise<StoredState> {
    const found = { upstreamOnly: false }
    await this.#alone(
      async (session) => {
        const facts = await checkServer(session, this.#log)
        this.#mariadb = facts.mariadb
        this.#writer.maxPacketBytes = facts.maxPacketBytes
        if (!this.#readOnly) await migrate(session, this.#log)
        else found.upstreamOnly = (await checkReadable(session)) === 'upstream'
      },
      () => this.#connectOrCreate(),
    )
    if (found.upstreamOnly) return UPSTREAM_ONLY
    const snapshot = await this.#takeSnapshot()
    try {
      return await snapshot.state()
    } finally {
      await snapshot.end()
    }
  }

  /** A snapshot of its own for each time the index is read: what it lacks must have been committed later. */
  async #readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    if (after === undefined) {
      await this.#snapshot?.end()
      this.#snapshot = await this.#takeSnapshot()
    }
    if (this.#snapshot === undefined) throw new MysqlError('the index is read from its beginning', { lost: false })
    return await this.#snapshot.nextPage()
  }

  async #takeSnapshot(): Promise<Snapshot> {
    return await Snapshot.begin(await this.#connector.connect({ idleSeconds: SNAPSHOT_IDLE_SECONDS }))
  }

  async #connectOrCreate(): Promise<Session> {
    try {
      return await this.#connector.connect()
    } catch (error) {
      if (errnoOf(error) !== errno.unknownDatabase) throw error
      const text = `there is no database ${describeEndpoint(this.#endpoint)}`
      if (this.#readOnly) throw new NoDatastoreError(text, { cause: error })
    }
    const session = await this.#connector.connectWithout()
    const name = this.#endpoint.database.replaceAll('`', '``')
    try {
      this.#log.info('creating the database', { database: describeEndpoint(this.#endpoint) })
      await session.query(`CREATE DATABASE IF NOT EXISTS \`${name}\``, QUERY_MS)
    } finally {
      await session.close()
    }
    return await this.#connector.connect()
  }

  /** Runs `fn` on a session that is made for it and ends with it. */
  async #alone(
    fn: (session: Session) => Promise<void>,
    connect: () => Promise<Session> = () => this.#connector.connect(),
  ): Promise<void> {
    const session = await connect()
    try {
      await fn(session)
    } finally {
      await session.close()
    }
  }

  #read<T>(read: (session: Session) => Promise<T>): Promise<T> {
    return translated(this.#readers.use(read))
  }

  /** Nobody waits for answers that will not come. */
  #breakOff(error: MysqlError): void {
    if (error.symbol === 'ETIMEDOUT' && this.#tail.answering) return
    for (const part of [this.#writer, this.#tail, this.#readers]) part.destroy(error)
  }
}

async function translated<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise
  } catch (error) {
    throw toStoreError(error)
  }
}
