import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import type { AppendBatch, Head, NewRow } from '#pkg/kine/dialect/dialect.ts'
import { PostgresDialect } from '#pkg/kine/dialect/postgres/postgres.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError, StoreError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { eventually } from '#pkg/kine/testing/eventually.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'
import type { Logger } from '#pkg/log/logger.ts'

const b = (text: string): Buffer<ArrayBuffer> => Buffer.from(text)
const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }
const pool = { maxOpen: 4, maxIdle: 4, maxIdleMs: 60_000, maxLifetimeMs: 0 }
const isUnavailable = (error: unknown): boolean => error instanceof StoreError && error.kind === 'unavailable'

function row(
  revision: number,
  key: string,
  more: Partial<KeyVersion> & { readonly value?: Buffer; readonly previousId?: number } = {},
): NewRow {
  const { value = b(`${key}@${revision}`), previousId = 0, ...fields } = more
  const now = {
    key: b(key),
    id: revision * 1024,
    modRevision: revision,
    createRevision: revision,
    version: 1,
    lease: 0,
  }
  return { now: { ...now, valueSize: value.length, ...fields }, value, replacedId: 0, previousId }
}

/** A batch on `after`, whose next head follows from its rows unless given. */
function batch(
  { revision, lastId, compactRevision, leaseSeq }: Head,
  rows: readonly NewRow[],
  more: Partial<AppendBatch> & { readonly head?: Partial<Head> } = {},
) {
  const { head, ...fields } = more
  const after = { revision, lastId, compactRevision, leaseSeq }
  const last = rows.at(-1)?.now
  const next = { ...after, ...(last && { revision: last.modRevision, lastId: last.id }), ...head }
  return { rows, leases: [], revokedLeases: [], after, next, ...fields }
}

/** Keeps what was logged. */
class RecordingLogger implements Logger {
  readonly lines: string[] = []
  debug = (): void => undefined
  info = (message: string, fields?: unknown): void => void this.lines.push(`info ${message} ${JSON.stringify(fields)}`)
  warn = (message: string, fields?: unknown): void => void this.lines.push(`warn ${message} ${JSON.stringify(fields)}`)
  error = this.warn
  child = (): Logger => this
}

interface DialectSettings {
  readonly tls?: DatabaseTlsFiles
  readonly connectTimeoutMs?: number
  readonly readOnly?: boolean
}

describe('PostgresDialect', function () {
  this.timeout(60_000)
  let server: PostgresServer
  let log: RecordingLogger
  let url: string
  const opened: PostgresDialect[] = []

  const dialectAt = (
    endpoint: string,
    { tls, connectTimeoutMs = 10_000, readOnly = false }: DialectSettings = {},
  ): PostgresDialect => {
    const parsed = parseEndpoint(endpoint, tls)
    assert.ok(parsed.type === 'postgres')
    // A connection may take its time where the tests share two processors; how long is only of interest when it hangs.
    const dialect = new PostgresDialect({ endpoint: { ...parsed, connectTimeoutMs }, pool, readOnly }, { log })
    opened.push(dialect)
    return dialect
  }

  before(async () => {
    server = await PostgresServer.start({ tls: true })
  })
  after(async () => {
    await server[Symbol.asyncDispose]()
  })
  beforeEach(async () => {
    log = new RecordingLogger()
    url = `${await server.createDatabase()}?sslmode=disable`
  })
  afterEach(async () => {
    for (const dialect of opened.splice(0)) await dialect.close()
    assert.doesNotMatch(log.lines.join('\n'), /p%40ss|p@ss/)
  })

  it('gives back what was appended, byte by byte', async () => {
    const dialect = dialectAt(url)
    const state = await dialect.open()
    assert.deepEqual([state.revision, state.lastId, state.compactRevision, state.prunedRevision], [1, 0, -1, -1])
    const large = row(2 ** 40, `k\0\xff${'x'.repeat(20_000)}`, {
      value: Buffer.from([0, 255, 0, ...Buffer.alloc(300_000, 'v')]),
      lease: -(2n ** 62n),
      version: 3,
      createRevision: 2,
    })
    const rows = [row(2, 'a', { value: Buffer.alloc(0) }), large]
    const first = batch(state, rows)
    assert.deepEqual(await dialect.append(first), { committed: true, previousValues: new Map() })
    const index = [...(await dialect.readIndex(undefined))].sort((x, y) => x.id - y.id)
    assert.deepEqual(index, [rows[0]?.now, large.now])
    const values = await dialect.readValues([large.now.id, 2048, 77])
    assert.deepEqual([values.get(large.now.id), values.get(2048)?.length, values.get(77)], [large.value, 0, undefined])
    const second = batch(first.next, [row(2 ** 40 + 1, 'a', { previousId: large.now.id })])
    const result = await dialect.append(second)
    assert.ok(result.committed)
    assert.deepEqual(result.previousValues.get(large.now.id), large.value)
    assert.deepEqual(await dialect.shared.head(), second.next)
    const again = dialectAt(url)
    const { clusterId, memberId, ...reopened } = await again.open()
    assert.deepEqual([clusterId, memberId], [state.clusterId, state.memberId])
    assert.deepEqual(reopened, { ...second.next, prunedRevision: -1, leases: [], alarms: [] })
  })

  it('lets two instances start together, and the slower one lose the swap', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const [state] = await Promise.all([one.open(), two.open()])
    const results = await Promise.all([
      one.append(batch(state, [row(2, 'a')])),
      two.append(batch(state, [row(2, 'b')])),
    ])
    assert.deepEqual(results.map(({ committed }) => committed).sort(), [false, true])
    assert.equal((await one.readIndex(undefined)).length, 1)
    const head = await two.shared.head()
    assert.equal(head.revision, 2)
    assert.deepEqual(await one.append(batch({ ...head, compactRevision: 7 }, [row(3, 'c')])), { committed: false })
  })

  it('keeps others out while the head is locked', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const state = await one.open()
    await two.open()
    const lock = await one.shared.lock()
    assert.deepEqual(lock.head, await two.shared.head())
    const loser = two.append(batch(state, [row(2, 'two')]))
    const under = batch(lock.head, [row(2, 'one')])
    assert.ok((await one.append(under)).committed)
    assert.deepEqual(await loser, { committed: false })
    await lock[Symbol.asyncDispose]()
    {
      await using abandoned = await two.shared.lock()
      assert.deepEqual(abandoned.head, under.next)
    }
    assert.ok((await one.append(batch(under.next, [row(3, 'three')]))).committed)
  })

  it('ends a lock whose holder breaks its batch off', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const state = await one.open()
    await two.open()
    await one.shared.lock()
    await assert.rejects(one.append(batch(state, [row(2, 'a'), row(2, 'b')])), isUnavailable)
    assert.ok((await two.append(batch(state, [row(2, 'c')]))).committed)
    const retried = await one.append(batch(await one.shared.head(), [row(3, 'd')]))
    assert.ok(retried.committed)
  })

  it('reads the log in pages of whole revisions, with what was there before', async () => {
    const dialect = dialectAt(url)
    const state = await dialect.open()
    const of = (revision: number, i: number): number => revision * 1024 + i
    const rows = [
      row(2, 'a'),
      ...[0, 1, 2, 3].map((i) => row(3, `t${i}`, { id: of(3, i) })),
      row(4, 'a', { createRevision: 2, version: 2 }),
      row(5, 'a', { createRevision: 2, version: 0, value: Buffer.alloc(0) }),
      row(6, 'a'),
    ]
    await dialect.append(batch(state, rows))
    const read = { range: everything, from: 2, to: 6, maxRows: 3, withPrevious: true }
    const seen: string[] = []
    for (let from = 2; from <= 6;) {
      const page = await dialect.readLog({ ...read, from })
      seen.push(
        page.rows.map(({ now, previousValue }) => `${now.key.toString()}<${previousValue?.toString() ?? ''}`).join(' '),
      )
      from = page.through + 1
    }
    assert.deepEqual(seen, ['a<', 't0< t1< t2< t3<', 'a<a@2 a<a@4 a<'])
    const single = await dialect.readLog({ ...read, range: { start: b('t1') }, maxRows: 100 })
    assert.deepEqual([single.rows.map(({ now }) => now.key.toString()), single.through], [['t1'], 6])
    const some = await dialect.readLog({ ...read, range: { start: b('t1'), end: b('t3') }, maxRows: 100 })
    assert.deepEqual(
      some.rows.map(({ value }) => value.toString()),
      ['t1@3', 't2@3'],
    )
    const versions = await dialect.readVersions([b('a'), b('none'), b('t0')], 4)
    assert.deepEqual(
      versions.map((version) => version?.modRevision),
      [4, undefined, 3],
    )
    const big = Buffer.alloc(800_000)
    await dialect.append(
      batch(
        await dialect.shared.head(),
        [7, 8, 9].map((at) => row(at, `big${at}`, { value: big })),
      ),
    )
    assert.equal((await dialect.readLog({ ...read, from: 2, to: 9, maxRows: 100 })).through, 8)
  })

  it('prunes what compaction drops, one instance at a time, and tells readers', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const state = await one.open()
    await two.open()
    const rows = [
      row(2, 'a'),
      row(3, 'a', { version: 2 }),
      row(4, 'b'),
      row(5, 'b', { version: 0 }),
      row(6, 'a'),
      row(7, 'c'),
    ]
    await one.append(batch(state, rows))
    assert.deepEqual(await one.prune(6), { deleted: 4, done: true })
    assert.deepEqual(await two.prune(6), { deleted: 0, done: true })
    const kept = [...(await two.readIndex(undefined))]
      .map(({ key, modRevision }) => `${key.toString()}@${modRevision}`)
      .sort()
    assert.deepEqual(kept, ['a@6', 'c@7'])
    await assert.rejects(two.readVersions([b('a')], 5), /compacted/)
    await assert.rejects(
      two.readLog({ range: everything, from: 5, to: 7, maxRows: 9, withPrevious: false }),
      /compacted/,
    )
    assert.equal((await two.readVersions([b('a')], 6))[0]?.modRevision, 6)
    assert.equal((await dialectAt(url).open()).prunedRevision, 6)
    const { bytes, inUseBytes } = await one.size()
    assert.ok(bytes > 0 && inUseBytes > 0 && inUseBytes <= bytes)
    await one.defragment()
  })

  it('tells other instances of leases', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const state = await one.open()
    const big = 2n ** 60n
    const lease = (id: number | bigint) => ({ id, ttlSeconds: 10, remainingMs: 10_000 })
    const granted = batch(state, [], { leases: [lease(7), lease(big)], head: { leaseSeq: 1 } })
    assert.ok((await one.append(granted)).committed)
    const revoked = batch(granted.next, [], { leases: [lease(7)], revokedLeases: [big], head: { leaseSeq: 2 } })
    assert.ok((await one.append(revoked)).committed)
    const { leases } = await two.open()
    assert.deepEqual(
      leases.map(({ id, ttlSeconds }) => [id, ttlSeconds]),
      [[7, 10]],
    )
    const remainingMs = leases[0]?.remainingMs ?? 0
    assert.ok(remainingMs > 5_000 && remainingMs <= 10_000)
    const { changes, seq, reset } = await two.shared.leasesAfter(1)
    assert.deepEqual(
      [changes.map(({ id, record }) => [id, record?.ttlSeconds]), seq, reset],
      [
        [
          [7, 10],
          [big, undefined],
        ],
        2,
        false,
      ],
    )
    assert.deepEqual((await two.shared.leasesAfter(2)).changes, [])
    await server.query('UPDATE k0s_lease SET expires_at_ms = 0 WHERE revoked', new URL(url).pathname.slice(1))
    await one.prune(1)
    const again = await two.shared.leasesAfter(1)
    assert.deepEqual([again.changes.map(({ id }) => id), again.reset], [[7], true])
  })

  it('keeps alarms, in a database that knew none too, and tells other instances', async () => {
    const name = new URL(url).pathname.slice(1)
    const one = dialectAt(url)
    const state = await one.open()
    await server.query('DROP TABLE k0s_alarm; UPDATE k0s_meta SET schema_version = 1', name)
    const reading = dialectAt(url, { readOnly: true })
    assert.deepEqual((await reading.open()).alarms, [])
    const two = dialectAt(url)
    await two.open()
    assert.match(log.lines.join(), /keep alarms/)
    const full = { memberId: 2n ** 62n, alarm: AlarmType.noSpace }
    const corrupt = { memberId: -5, alarm: AlarmType.corrupt }
    const raised = batch(state, [row(2, 'a')], {
      alarms: { raised: [full, corrupt], disarmed: [] },
      head: { leaseSeq: 1 },
    })
    assert.ok((await one.append(raised)).committed)
    assert.deepEqual(new Set((await two.shared.leasesAfter(0)).alarms), new Set([full, corrupt]))
    const disarmed = batch(raised.next, [], { alarms: { raised: [], disarmed: [corrupt] }, head: { leaseSeq: 2 } })
    assert.ok((await two.append(disarmed)).committed)
    assert.deepEqual((await one.shared.leasesAfter(2)).alarms, [full])
    assert.deepEqual((await dialectAt(url).open()).alarms, [full])
  })

  it('hears of commits within milliseconds, after a restart of the database too', async () => {
    const [one, two] = [dialectAt(url), dialectAt(url)]
    const state = await one.open()
    await two.open()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told of the connection', () => heard.length > 1)
    const first = batch(state, [row(2, 'a')])
    await one.append(first)
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 900, 'by notification, not by poll')
    heard.length = 0
    await server.kill()
    await assert.rejects(one.append(batch(first.next, [row(3, 'lost')])), isUnavailable)
    await assert.rejects(one.shared.head(), isUnavailable)
    await server.start()
    await eventually('told of the new connection', () => heard.includes(undefined))
    await eventually('head', () =>
      one.shared.head().then(
        ({ revision }) => revision === 2,
        () => false,
      ),
    )
    assert.ok((await one.append(batch(first.next, [row(3, 'b')]))).committed)
    await eventually('told of revision 3', () => heard.includes(3))
    const count = (text: string): number => log.lines.filter((line) => line.includes(text)).length
    assert.ok(count('is away') >= 1 && count('is away') <= 2, 'once an instance, not once a request')
    assert.equal(count('is back'), count('is away'))
  })

  it('polls behind a pooler, where notifications do not arrive', async () => {
    const [one, two] = [dialectAt(url), dialectAt(`${url}&default_query_exec_mode=exec`)]
    const state = await one.open()
    await two.open()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told that it polls', () => log.lines.some((line) => line.includes('polling')))
    await one.append(batch(state, [row(2, 'a')]))
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 900)
    assert.ok((await two.append(batch(await two.shared.head(), [row(3, 'b')]))).committed)
  })

  it('commits durably whatever the database is set to', async () => {
    const name = new URL(url).pathname.slice(1)
    await server.query(`ALTER DATABASE ${name} SET synchronous_commit = off`)
    const dialect = dialectAt(url)
    const state = await dialect.open()
    assert.match(log.lines.join(), /acknowledged.*fsync/)
    const flushed = async (): Promise<boolean> =>
      (await server.query('SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() = 0'))[0]?.[0] === true
    let head: Head = state
    let durable = 0
    for (let revision = 2; revision < 12; revision += 1) {
      const next = batch(head, [row(revision, 'a')])
      assert.ok((await dialect.append(next)).committed)
      if (await flushed()) durable += 1
      head = next.next
    }
    // The server itself writes at times; without waiting for the disk hardly one commit would be there at once.
    assert.ok(durable >= 6, `${durable} of 10`)
  })

  it('does not wait for a database that hangs', async () => {
    const dialect = dialectAt(url, { connectTimeoutMs: 1_000 })
    await dialect.open()
    await dialect.shared.head()
    await server.freeze(true)
    try {
      const startedAt = performance.now()
      await assert.rejects(dialect.shared.head(), isUnavailable)
      assert.ok(performance.now() - startedAt < 3_000)
      await assert.rejects(dialect.shared.head(), isUnavailable)
    } finally {
      await server.freeze(false)
    }
    await eventually('back', () =>
      dialect.shared.head().then(
        () => true,
        () => false,
      ),
    )
  })

  it('makes a missing database, marks one of an upstream kine, and says what it cannot do', async () => {
    const missing = server.url(`missing_${process.pid}`)
    const state = await dialectAt(missing).open()
    assert.equal(state.revision, 1)
    const name = new URL(url).pathname.slice(1)
    await server.query(
      `CREATE TABLE kine (id bigserial PRIMARY KEY, name text, created int, deleted int, create_revision bigint,
        prev_revision bigint, lease int, value bytea, old_value bytea);
       INSERT INTO kine VALUES (3, '/a', 1, 0, 0, 0, 5, 'v', NULL); ALTER TABLE kine OWNER TO kine`,
      name,
    )
    const upstream = dialectAt(url)
    assert.equal((await upstream.open()).compactRevision, IMPORT_PENDING)
    assert.deepEqual(await upstream.readUpstream(0), [
      {
        id: 3,
        name: b('/a'),
        created: true,
        deleted: false,
        createRevision: 0,
        previousRevision: 0,
        lease: 5,
        value: b('v'),
      },
    ])
    assert.deepEqual(await upstream.readUpstream(3), [])
    await assert.rejects(dialectAt(server.url(name, { password: 'wrong' })).open(), (error) => {
      return (
        error instanceof KineError && /authentication failed/.test(error.message) && !error.message.includes('wrong')
      )
    })
    await server.query('UPDATE k0s_meta SET schema_version = 99', name)
    await assert.rejects(dialectAt(url).open(), /newer than/)
    await assert.rejects(dialectAt('postgres://u:p@127.0.0.1:1/db').open(), isUnavailable)
  })

  it('speaks TLS with a client certificate', async () => {
    const { ca: caFile, clientCert: certFile, clientKey: keyFile } = server.certificates ?? assert.fail()
    const endpoint = server.url('tls_only')
    assert.equal((await dialectAt(endpoint, { tls: { caFile, certFile, keyFile } }).open()).revision, 1)
    assert.equal((await dialectAt(`${endpoint}?sslmode=require`).open()).revision, 1)
    assert.equal((await dialectAt(endpoint).open()).revision, 1)
    await assert.rejects(dialectAt(`${endpoint}?sslmode=disable`).open(), KineError)
    await assert.rejects(dialectAt(`${endpoint}?sslmode=verify-full`).open(), KineError)
  })
})
