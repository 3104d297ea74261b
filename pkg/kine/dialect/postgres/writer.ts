import type { RowId } from '#pkg/kine/backend.ts'
import type { AppendBatch, AppendResult, HeadLock } from '#pkg/kine/dialect/dialect.ts'
import type { Access } from '#pkg/kine/dialect/postgres/access.ts'
import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { ConnectionLostError, toStoreError } from '#pkg/kine/dialect/postgres/errors.ts'
import type { Param } from '#pkg/kine/dialect/postgres/message-writer.ts'
import { APPEND, APPEND_ALARMS, APPEND_LEASES, LOCK_HEAD } from '#pkg/kine/dialect/postgres/statements.ts'
import { readHead } from '#pkg/kine/dialect/postgres/version.ts'

/** As long as etcd gives a request; whether it was committed must then be found out from the head. */
const COMMIT_TIMEOUT_MS = 7_000

/** An instance that stops while it holds the lock loses it; said again here because a pooler's sessions hold no state. */
const BEGIN = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'"

/** The one connection that writes: commits batches, and holds the lock on the head. */
export class Writer {
  readonly #access: Access
  readonly #channel: () => string
  #connection: Connection | undefined
  #locked: Connection | undefined

  /** `channel`: of the notifications that a commit sends. */
  constructor(access: Access, channel: () => string) {
    this.#access = access
    this.#channel = channel
  }

  /** Uses this connection until it breaks, in place of the one before. */
  adopt(connection: Connection): void {
    if (this.#connection !== connection) this.#connection?.end()
    this.#connection = connection
  }

  /** See Dialect.append. */
  async append(batch: AppendBatch): Promise<AppendResult> {
    const locked = this.#locked
    this.#locked = undefined
    const connection = locked ?? (await this.#connect())
    const previousValues = new Map<RowId, Buffer>()
    const answered: RowId[] = []
    const statement = batch.alarms !== undefined ? APPEND_ALARMS : hasLeases(batch) ? APPEND_LEASES : APPEND
    const appended = connection.query(statement, appendParams(batch, this.#channel()), {
      timeoutMs: COMMIT_TIMEOUT_MS,
      onRow: (row) => {
        const id = row.number()
        answered.push(id)
        if (id > 0) previousValues.set(id, row.bytes())
      },
    })
    try {
      // Sent along without waiting; after an error the server takes it for a rollback.
      const [, tag] = await Promise.all([appended, locked?.script('COMMIT', { timeoutMs: COMMIT_TIMEOUT_MS })])
      if (tag !== undefined && tag !== 'COMMIT') throw new ConnectionLostError(`the transaction ended in ${tag}`)
    } catch (error) {
      throw toStoreError(error)
    }
    return answered.length > 0 ? { committed: true, previousValues } : { committed: false }
  }

  /** See SharedLog.lock. */
  async lock(): Promise<HeadLock> {
    const connection = await this.#connect()
    try {
      const [, head] = await Promise.all([
        connection.script(BEGIN, { timeoutMs: COMMIT_TIMEOUT_MS }),
        connection.first(LOCK_HEAD, [], { timeoutMs: COMMIT_TIMEOUT_MS, read: readHead }),
      ])
      if (head === undefined) throw new ConnectionLostError('the head is missing')
      this.#locked = connection
      return { head, [Symbol.asyncDispose]: () => this.#unlock(connection) }
    } catch (error) {
      // Whatever is open on it ends with it.
      connection.destroy(new ConnectionLostError('the head could not be locked', { cause: error }))
      throw toStoreError(error)
    }
  }

  close(): void {
    this.#connection?.end()
  }

  async #unlock(connection: Connection): Promise<void> {
    if (this.#locked !== connection) return
    this.#locked = undefined
    try {
      await connection.script('ROLLBACK', { timeoutMs: COMMIT_TIMEOUT_MS })
    } catch {
      connection.destroy(new ConnectionLostError('the lock could not be given back'))
    }
  }

  async #connect(): Promise<Connection> {
    if (this.#connection === undefined || this.#connection.closed) {
      this.#connection = await this.#access.connect()
    }
    return this.#connection
  }
}

function hasLeases({ leases, revokedLeases }: AppendBatch): boolean {
  return leases.length + revokedLeases.length > 0
}

/** Parameters of APPEND, APPEND_LEASES and APPEND_ALARMS. */
function appendParams(batch: AppendBatch, channel: string): readonly Param[] {
  const { rows, leases, revokedLeases, alarms, after, next } = batch
  const heads = [after, next].flatMap((head) => [head.revision, head.lastId, head.compactRevision, head.leaseSeq])
  const params: Param[] = [
    ...heads,
    channel,
    next.revision > after.revision ? String(next.revision) : '',
    { int8s: rows.map(({ now }) => now.id) },
    { int8s: rows.map(({ now }) => now.modRevision) },
    { int8s: rows.map(({ now }) => now.createRevision) },
    { int8s: rows.map(({ now }) => now.version) },
    { int8s: rows.map(({ now }) => now.lease) },
    { byteas: rows.map(({ now }) => now.key) },
    { byteas: rows.map(({ value }) => value) },
    { int8s: rows.map(({ previousId }) => previousId).filter((id) => id > 0) },
  ]
  if (!hasLeases(batch) && alarms === undefined) return params
  const alarmLists = alarms === undefined ? [] : [alarms.raised, alarms.disarmed]
  return [
    ...params,
    { int8s: [...leases.map(({ id }) => id), ...revokedLeases] },
    { int8s: [...leases.map(({ ttlSeconds }) => ttlSeconds), ...revokedLeases.map(() => 0)] },
    { int8s: [...leases.map(({ remainingMs }) => Math.ceil(remainingMs)), ...revokedLeases.map(() => 0)] },
    ...alarmLists.flatMap((members) => [
      { int8s: members.map(({ memberId }) => memberId) },
      { int8s: members.map(({ alarm }) => alarm) },
    ]),
  ]
}
