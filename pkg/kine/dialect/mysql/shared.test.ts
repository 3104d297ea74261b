import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { LeaseRecord } from '#pkg/kine/backend.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import { MysqlDialect } from '#pkg/kine/dialect/mysql/mysql.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { KineError, StoreError } from '#pkg/kine/errors.ts'
import { batchAfter, FRESH, newRow } from '#pkg/kine/testing/batches.ts'
import { eventually } from '#pkg/kine/testing/eventually.ts'
import { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const POOL = { maxOpen: 4, maxIdle: 4, maxIdleMs: 60_000, maxLifetimeMs: 0 }
const unavailable = (error: unknown): boolean => error instanceof StoreError && error.kind === 'unavailable'

describe('MysqlDialect, shared', function () {
  this.timeout(60_000)
  let server: MariadbServer
  let url: string
  let lines: string[]
  const opened: MysqlDialect[] = []

  const dialectAt = (endpoint: string, tls?: DatabaseTlsFiles, readOnly = false): MysqlDialect => {
    const parsed = parseEndpoint(endpoint, tls)
    assert.ok(parsed.type === 'mysql')
    const line = (message: string, fields?: unknown): void => void lines.push(`${message} ${JSON.stringify(fields)}`)
    const log = { ...silentLogger, info: line, warn: line, error: line }
    const dialect = new MysqlDialect({ endpoint: parsed, pool: POOL, readOnly }, { log })
    opened.push(dialect)
    return dialect
  }
  const openTwo = async (): Promise<[MysqlDialect, MysqlDialect]> => {
    const two: [MysqlDialect, MysqlDialect] = [dialectAt(url), dialectAt(url)]
    await Promise.all(two.map((dialect) => dialect.open()))
    return two
  }
  const name = (): string => /\/([^/?]*)\?/.exec(url)?.[1] ?? ''

  before(async () => {
    server = await MariadbServer.start({ tls: true, settings: { 'bind-address': '127.0.0.1,127.0.0.2' } })
  })
  after(() => server[Symbol.asyncDispose]())
  beforeEach(async () => {
    lines = []
    url = `${await server.createDatabase()}?tls=skip-verify`
  })
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((dialect) => dialect.close()))
    assert.doesNotMatch(lines.join('\n'), /p@ss/)
  })

  it('lets the slower of two commits on one head change nothing, whatever they write', async () => {
    const [one, two] = await openTwo()
    const lease = { id: 7, ttlSeconds: 60, remainingMs: 60_000 }
    let head: Head = FRESH
    for (const [revision, mine] of [
      [2, batchAfter(head, [newRow(2, 'a')])],
      [3, batchAfter({ ...head, revision: 2, lastId: 2048 }, [], { leases: [lease] })],
      [3, batchAfter({ ...head, revision: 2, lastId: 2048, leaseSeq: 1 }, [], { compactRevision: 2 })],
    ] as const) {
      const theirs = batchAfter(head, [newRow(revision, 'b')], { leases: [{ ...lease, id: 8 }], revokedLeases: [7] })
      assert.deepEqual(await one.append(mine), { committed: true, previousValues: new Map() })
      head = mine.next
      assert.deepEqual(await two.append(theirs), { committed: false })
      assert.deepEqual(await two.shared.head(), head)
    }
    assert.equal((await two.readIndex(undefined)).length, 1)
    const { changes } = await two.shared.leasesAfter(0)
    assert.deepEqual(
      changes.map(({ id }) => id),
      [7],
    )
  })

  it('keeps others out while the head is locked', async () => {
    const [one, two] = await openTwo()
    const lock = await one.shared.lock()
    assert.deepEqual(lock.head, FRESH)
    const loser = two.append(batchAfter(FRESH, [newRow(2, 'two')]))
    const under = batchAfter(lock.head, [newRow(2, 'one')])
    assert.ok((await one.append(under)).committed)
    assert.deepEqual(await loser, { committed: false })
    await lock[Symbol.asyncDispose]()
    {
      await using abandoned = await two.shared.lock()
      assert.deepEqual(abandoned.head, under.next)
    }
    const broken = await one.shared.lock()
    await assert.rejects(one.append(batchAfter(broken.head, [newRow(3, 'x'), newRow(3, 'x')])), unavailable)
    assert.ok((await two.append(batchAfter(under.next, [newRow(3, 'three')]))).committed)
  })

  it('writes with sessions whose transactions end soon after their owner', async () => {
    const [one, two] = await openTwo()
    const lock = await one.shared.lock()
    const blocked = two.append(batchAfter(FRESH, [newRow(2, 'two')]))
    // What the server does after eight seconds of silence, at once.
    const rows = await server.query(
      `SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'RUNNING' AND trx_rows_locked > 0`,
    )
    assert.equal(rows.length, 1)
    await server.query(`KILL ${String(rows[0]?.[0])}`)
    assert.ok((await blocked).committed)
    await assert.rejects(one.append(batchAfter(lock.head, [newRow(2, 'one')])), unavailable)
    assert.deepEqual(await one.append(batchAfter(FRESH, [newRow(2, 'one')])), { committed: false })
  })

  it('tells other instances of leases', async () => {
    const [one, two] = await openTwo()
    const big = 2n ** 60n
    const lease = (id: number | bigint) => ({ id, ttlSeconds: 10, remainingMs: 10_000 })
    const granted = batchAfter(FRESH, [], { leases: [lease(7), lease(big)] })
    await one.append(granted)
    const revoked = batchAfter(granted.next, [], { leases: [lease(7)], revokedLeases: [big] })
    await one.append(revoked)
    const { leases } = await two.open()
    assert.deepEqual(
      leases.map(({ id, ttlSeconds }) => [id, ttlSeconds]),
      [[7, 10]],
    )
    const remainingMs = leases[0]?.remainingMs ?? 0
    assert.ok(remainingMs > 5_000 && remainingMs <= 10_000, String(remainingMs))
    const told = async (seq: number): Promise<unknown> => {
      const { changes, ...rest } = await two.shared.leasesAfter(seq)
      return { ...rest, changes: changes.map(({ id, record }) => [id, record?.ttlSeconds]).sort() }
    }
    const seven = [7, 10]
    assert.deepEqual(await told(0), {
      changes: [[big, undefined], seven],
      seq: 2,
      prunedSeq: 0,
      reset: false,
      alarms: [],
    })
    assert.deepEqual(await told(2), { changes: [], seq: 2, prunedSeq: 0, reset: false, alarms: [] })
    await server.query('UPDATE k0s_lease SET expires_at_ms = 0 WHERE revoked', name())
    await one.append(batchAfter(revoked.next, [newRow(2, 'a')]))
    await one.prune(1)
    assert.deepEqual(await told(1), { changes: [seven], seq: 2, prunedSeq: 2, reset: true, alarms: [] })
    assert.deepEqual(await told(2), { changes: [], seq: 2, prunedSeq: 2, reset: false, alarms: [] })
  })

  it('counts a lease on from what was left, whatever the clock of the database says', async () => {
    const one = dialectAt(url)
    await one.open()
    const lease = (id: number, remainingMs: number) => ({ id, ttlSeconds: 600, remainingMs })
    assert.ok((await one.append(batchAfter(FRESH, [], { leases: [lease(1, 600_000), lease(2, 90_000.5)] }))).committed)
    // Long ago by that clock.
    await server.query('UPDATE k0s_lease SET expires_at_ms = 0', name())
    const left = (records: readonly (LeaseRecord | undefined)[]): unknown =>
      records.map((record) => [record?.id, record?.remainingMs]).sort()
    const atOpening = async (readOnly = false): Promise<unknown> =>
      left((await dialectAt(url, undefined, readOnly).open()).leases)
    assert.deepEqual(await atOpening(), [
      [1, 600_000],
      [2, 90_001],
    ])
    const { changes } = await one.shared.leasesAfter(0)
    assert.deepEqual(left(changes.map(({ record }) => record)), [
      [1, 600_000],
      [2, 90_001],
    ])
    // As a program renews it that does not keep what is left.
    await server.query('UPDATE k0s_lease SET seq = seq + 1 WHERE id = 2', name())
    assert.deepEqual(await atOpening(), [
      [1, 600_000],
      [2, 600_000],
    ])
    await server.query('ALTER TABLE k0s_lease DROP COLUMN rest_seq, DROP COLUMN rest_ms', name())
    await server.query('UPDATE k0s_meta SET schema_version = 2', name())
    assert.deepEqual(await atOpening(true), [
      [1, 600_000],
      [2, 600_000],
    ])
    assert.deepEqual(await atOpening(), [
      [1, 600_000],
      [2, 600_000],
    ])
    assert.match(lines.join(), /count leases by no clock/)
  })

  it('keeps alarms, in a database that knew none too, and tells other instances', async () => {
    const one = dialectAt(url)
    await one.open()
    await server.query('DROP TABLE k0s_alarm', name())
    await server.query('UPDATE k0s_meta SET schema_version = 1', name())
    assert.deepEqual((await dialectAt(url, undefined, true).open()).alarms, [])
    const two = dialectAt(url)
    await two.open()
    assert.match(lines.join(), /keep alarms/)
    const full = { memberId: 2n ** 62n, alarm: AlarmType.noSpace }
    const corrupt = { memberId: -5, alarm: AlarmType.corrupt }
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    const raised = {
      ...first,
      next: { ...first.next, leaseSeq: 1 },
      alarms: { raised: [full, corrupt], disarmed: [] },
    }
    assert.ok((await one.append(raised)).committed)
    assert.deepEqual(new Set((await two.shared.leasesAfter(0)).alarms), new Set([full, corrupt]))
    const next = { ...raised.next, leaseSeq: 2 }
    const disarmed = { ...batchAfter(raised.next, []), next, alarms: { raised: [], disarmed: [corrupt] } }
    assert.ok((await two.append(disarmed)).committed)
    assert.deepEqual((await one.shared.leasesAfter(2)).alarms, [full])
    assert.deepEqual((await dialectAt(url).open()).alarms, [full])
  })

  it('hears of commits soon, after a crash of the database too, and says once that it is away', async () => {
    const [one, two] = await openTwo()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told of the beginning', () => heard.length > 0)
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    await one.append(first)
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 1_000)
    await one.append(batchAfter(first.next, [], { compactRevision: 1 }))
    await eventually('told of the compaction', () => heard.at(-1) === undefined)
    heard.length = 0

    await server.kill()
    await assert.rejects(one.append(batchAfter(first.next, [newRow(3, 'lost')])), unavailable)
    await assert.rejects(one.shared.head(), unavailable)
    await assert.rejects(one.readValues([2048]), unavailable)
    await server.start()
    await eventually('told of the way back', () => heard.includes(undefined))
    await eventually('the other one is back', () =>
      one.shared.head().then(
        () => true,
        () => false,
      ),
    )
    const head = await one.shared.head()
    assert.deepEqual(head, { ...first.next, compactRevision: 1 })
    assert.ok((await one.append(batchAfter(head, [newRow(3, 'b')]))).committed)
    await eventually('told of revision 3', () => heard.includes(3))
    const count = (text: string): number => lines.filter((line) => line.startsWith(text)).length
    assert.equal(count('the database is away'), 2)
    assert.equal(count('the database is back'), 2)
  })

  it('does not wait for a database that hangs, and takes no commit of then for lost', async () => {
    const [one] = await openTwo()
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    await one.append(first)
    await one.shared.head()
    await server.freeze(true)
    const writing = one.append(batchAfter(first.next, [newRow(3, 'a')]))
    writing.catch(() => undefined)
    try {
      const startedAt = performance.now()
      await assert.rejects(one.shared.head(), unavailable)
      await assert.rejects(one.shared.head(), unavailable)
      assert.ok(performance.now() - startedAt < 3_000)
      // The first attempt to connect has shown that nobody is there.
      await assert.rejects(writing, unavailable)
    } finally {
      await server.freeze(false)
    }
    // The server has had the whole text of the commit, and ends it now that it can.
    await eventually('committed', () =>
      one.shared.head().then(
        ({ revision }) => revision === 3,
        () => false,
      ),
    )
  })

  it('survives the loss of idle sessions', async () => {
    const [one] = await openTwo()
    await one.append(batchAfter(FRESH, [newRow(2, 'a')]))
    await one.readValues([2048])
    await one.shared.head()
    const ids = await server.query(`SELECT id FROM information_schema.processlist WHERE db = '${name()}'`)
    assert.ok(ids.length >= 3)
    for (const [id] of ids) await server.query(`KILL ${String(id)}`).catch(() => undefined)
    assert.equal((await one.readValues([2048])).size, 1)
    const head = await one.shared.head()
    assert.ok((await one.append(batchAfter(head, [newRow(3, 'b')]))).committed)
  })

  it('speaks TLS, with a certificate of its own if it has one', async () => {
    const { ca: caFile, clientCert: certFile, clientKey: keyFile } = server.certificates ?? assert.fail()
    const plain = url.replace(/\?.*/, '')
    await dialectAt(plain, { caFile, certFile, keyFile }).open()
    await dialectAt(plain.replace('127.0.0.1', 'localhost'), { caFile }).open()
    await dialectAt(`${plain}?tls=preferred`).open()
    await assert.rejects(dialectAt(`${plain}?tls=false`).open(), KineError)
    await assert.rejects(dialectAt(`${plain}?tls=true`).open(), KineError)
    // The certificate is valid for 127.0.0.1 and localhost.
    const other = plain.replace('127.0.0.1', '127.0.0.2')
    await dialectAt(`${other}?tls=skip-verify`).open()
    await assert.rejects(dialectAt(other, { caFile }).open(), KineError)
    await assert.rejects(dialectAt('mysql://u:p@tcp(127.0.0.1:1)/db').open(), unavailable)
  })
})
