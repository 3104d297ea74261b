import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { ROWS_PER_REVISION } from '#pkg/kine/backend.ts'
import type { Key, KeyVersion, Revision, RowId } from '#pkg/kine/backend.ts'
import type {
  AppendBatch,
  AppendResult,
  Dialect,
  LogPage,
  LogQuery,
  LogRow,
  PruneResult,
  StoredState,
  UpstreamRow,
} from '#pkg/kine/dialect/dialect.ts'
import { holdersOf } from '#pkg/kine/dialect/sqlite/file-holders.ts'
import { PacketReader, PacketWriter } from '#pkg/kine/dialect/sqlite/packet.ts'
import { readUpstreamRows } from '#pkg/kine/dialect/sqlite/upstream-reader.ts'
import { ownCopy } from '#pkg/kine/keys.ts'
import { toStoreError, WorkerClient, WorkerError } from '#pkg/kine/dialect/sqlite/worker-client.ts'
import type { WorkerFiles } from '#pkg/kine/dialect/sqlite/worker-client.ts'
import { DatabaseLockedError, KineError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'

/** Where the database is and what its threads run. */
export interface SqliteOptions {
  /** Absolute path of the database file; its directory is created with mode 0700. */
  readonly file: string
  readonly files: WorkerFiles
  /** The file is only read, and must exist: `append` and what else writes rejects. Default false. */
  readonly readOnly?: boolean
}

/** What SqliteDialect needs of its surroundings. */
export interface SqliteDeps {
  /** A database thread ended by itself: nothing can be served any more. */
  readonly onFailure: (error: Error) => void
}

/** In place of a compact revision. */
const UNCHANGED = -2

/** The log in one SQLite file: a thread that writes, a thread that reads, both through better-sqlite3. */
export class SqliteDialect implements Dialect {
  /** One process has the file to itself, so the head that a batch was made on is always the newest. */
  readonly shared = undefined
  readonly #file: string
  /** The reader itself, where nothing is written. */
  readonly #writer: WorkerClient
  readonly #reader: WorkerClient

  constructor(options: SqliteOptions, deps: SqliteDeps) {
    const { file, files, readOnly = false } = options
    this.#file = file
    this.#reader = new WorkerClient(files, { role: 'reader', file, readOnly }, deps.onFailure)
    this.#writer = readOnly ? this.#reader : new WorkerClient(files, { role: 'writer', file }, deps.onFailure)
  }

  /** @throws DatabaseLockedError, KineError */
  async open(): Promise<StoredState> {
    try {
      if (this.#writer !== this.#reader) await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 })
      const state = await this.#writer.call('open', undefined)
      if (state.compactRevision === IMPORT_PENDING) await this.#refuseUpstream()
      return state
    } catch (error) {
      await Promise.all([this.#reader.terminate(), this.#writer.terminate()])
      if (error instanceof DatabaseLockedError) throw error
      if (error instanceof WorkerError && error.code.startsWith('SQLITE_BUSY')) {
        throw new DatabaseLockedError(
          `database ${this.#file} is in use by another process: stop it, or use another file in --endpoint`,
          { cause: error },
        )
      }
      throw new KineError(
        `cannot open database ${this.#file}: ${errorMessage(error)}; check the path, its owner and free space`,
        {
          cause: error,
        },
      )
    }
  }

  async readIndex(after: Key | undefined): Promise<readonly KeyVersion[]> {
    const packet = new PacketReader(await this.#read('readIndex', after))
    const versions: KeyVersion[] = []
    while (!packet.atEnd) versions.push(packet.version())
    return versions
  }

  async append(batch: AppendBatch): Promise<AppendResult> {
    const packet = new PacketWriter(16 * 1024)
    packet.number(batch.rows.length)
    for (const { now, replacedId, previousId, value } of batch.rows) {
      packet.version(now)
      packet.number(replacedId)
      packet.number(previousId)
      packet.bytes(value)
    }
    packet.number(batch.leases.length)
    for (const { id, ttlSeconds, remainingMs } of batch.leases) {
      packet.leaseId(id)
      packet.number(ttlSeconds)
      packet.number(remainingMs)
    }
    packet.number(batch.revokedLeases.length)
    for (const id of batch.revokedLeases) packet.leaseId(id)
    for (const members of [batch.alarms?.raised ?? [], batch.alarms?.disarmed ?? []]) {
      packet.number(members.length)
      for (const { memberId, alarm } of members) {
        packet.leaseId(memberId)
        packet.number(alarm)
      }
    }
    packet.number(batch.next.compactRevision === batch.after.compactRevision ? UNCHANGED : batch.next.compactRevision)
    return { committed: true, previousValues: readIdValues(await this.#write('append', packet.finish())) }
  }

  async readValues(ids: readonly RowId[]): Promise<ReadonlyMap<RowId, Buffer>> {
    const packet = new PacketWriter(ids.length * 8)
    for (const id of ids) packet.number(id)
    return readIdValues(await this.#read('readValues', packet.finish()))
  }

  async readVersions(
    _keys: readonly Key[],
    revision: Revision,
    newerIds: readonly RowId[],
  ): Promise<readonly (KeyVersion | undefined)[]> {
    const request = new PacketWriter(8 * (newerIds.length + 1))
    request.number(revision)
    for (const id of newerIds) request.number(id)
    const packet = new PacketReader(await this.#read('readVersions', request.finish()))
    return newerIds.map(() => (packet.number() === 0 ? undefined : packet.version()))
  }

  async readLog(query: LogQuery): Promise<LogPage> {
    const request = new PacketWriter()
    request.number(query.from)
    request.number(query.to)
    request.number(query.maxRows)
    request.number(query.from * ROWS_PER_REVISION)
    request.number(query.withPrevious ? 1 : 0)
    request.bytes(query.range.start)
    request.bytes(query.range.end)
    const reply = new PacketReader(await this.#read('readLog', request.finish()))
    const through = reply.number()
    const packet = new PacketReader(copyOut(reply.present()))
    const rows: LogRow[] = []
    while (!packet.atEnd) {
      const now = packet.version()
      const value = packet.present()
      const previous = packet.number() === 0 ? undefined : packet.version()
      rows.push({ now, value, previous, previousValue: previous && packet.present() })
    }
    return { rows, through }
  }

  async readUpstream(after: number): Promise<readonly UpstreamRow[]> {
    return readUpstreamRows(await this.#read('readUpstream', after))
  }

  prune(through: Revision): Promise<PruneResult> {
    return this.#write('prune', through)
  }

  size(): Promise<{ readonly bytes: number; readonly inUseBytes: number }> {
    return this.#write('size', undefined)
  }

  async defragment(): Promise<void> {
    await this.#write('defragment', undefined)
  }

  async close(): Promise<void> {
    // The reader first: a last connection that closes folds the WAL into the database, and that is the writer's.
    await this.#reader.close()
    if (this.#writer !== this.#reader) await this.#writer.close()
  }

  /** An upstream kine does not know our lock, and would go on writing to its own table. @throws DatabaseLockedError */
  async #refuseUpstream(): Promise<void> {
    const [pid] = await holdersOf(this.#file)
    if (pid === undefined) return
    throw new DatabaseLockedError(`database ${this.#file} is in use by process ${pid}, an upstream kine: stop it`)
  }

  #write: WorkerClient['call'] = (call, request) =>
    this.#writer.call(call, request).catch((error: unknown) => {
      throw toStoreError(error)
    })

  #read: WorkerClient['call'] = (call, request) =>
    this.#reader.call(call, request).catch((error: unknown) => {
      throw toStoreError(error)
    })
}

function readIdValues(reply: ArrayBuffer): ReadonlyMap<RowId, Buffer> {
  const packet = new PacketReader(reply)
  const values = new Map<RowId, Buffer>()
  while (!packet.atEnd) {
    const id = packet.number()
    const value = packet.bytes()
    if (value !== undefined) values.set(id, value)
  }
  return values
}

function copyOut(bytes: Buffer): ArrayBuffer {
  return ownCopy(bytes).buffer as ArrayBuffer
}
