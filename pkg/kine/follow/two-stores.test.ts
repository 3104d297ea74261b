import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { LeaseId, RangeQuery, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Store } from '#pkg/kine/store.ts'
import { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { del, isKind, put, query, settle, Sink, swap, watch } from '#pkg/kine/testing/store-requests.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const OPTIONS = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000, compactionGraceMs: 0 }

const onFailure = (error: unknown): void => assert.fail(String(error))

async function write(store: Store, request: TxnRequest): Promise<TxnResult> {
  using result = await store.txn(request)
  return result.value
}

/** `key=value` of everything in the range, after the revision that the answer is of. */
async function read(store: Store, range: RangeQuery = query('\0', '')): Promise<string[]> {
  using result = await store.range(range)
  const { versions } = result.value
  await store.loadKeyValues(versions)
  return versions.map(({ key, modRevision }) => `${String(key)}@${modRevision}`)
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('two stores on one database', () => {
  let database: MemoryDatabase
  let a: Store
  let b: Store
  let dialectA: MemoryDialect
  let dialectB: MemoryDialect

  const open = (dialect: MemoryDialect): Promise<Store> =>
    Store.open(OPTIONS, { dialect, log: silentLogger, onFailure })

  beforeEach(async () => {
    database = new MemoryDatabase()
    dialectA = new MemoryDialect(database)
    dialectB = new MemoryDialect(database)
    a = await open(dialectA)
    b = await open(dialectB)
  })
  afterEach(async () => {
    dialectA.away = dialectB.away = false
    await Promise.all([a.close(), b.close()])
  })

  it('read what the other one has just written', async () => {
    await write(a, put('x', '1'))
    assert.deepEqual(await read(b), ['x@2'])
    await write(b, put('x', '2'))
    await write(b, put('y'))
    assert.deepEqual(await read(a), ['x@3', 'y@4'])
    const again = await write(a, swap('x', 2, 'lost'))
    assert.deepEqual([again.succeeded, again.revision], [false, 4])
  })

  it('answer serializable reads from memory', async () => {
    await write(a, put('x'))
    await until(() => b.revision === 2)
    dialectB.away = true
    assert.deepEqual(await read(b, query('x', undefined, { serializable: true })), ['x@2'])
    await assert.rejects(read(b), isKind('unavailable'))
  })

  it('decide a compare-and-swap once when both are asked at the same time', async () => {
    const results = await Promise.all([a, b, a, b].map((store, i) => write(store, swap('race', 0, String(i)))))
    assert.equal(results.filter(({ succeeded }) => succeeded).length, 1)
    assert.equal(database.head.revision, 2)
  })

  it('give watchers the changes of both, in order and once', async () => {
    const sinks = [new Sink(), new Sink()]
    ;[a, b].forEach((store, i) => watch(store.hub.open(sinks[i] ?? new Sink()), '\0', ''))
    const expected: string[] = []
    for (let i = 0; i < 20; i += 1) {
      await write(i % 3 === 0 ? a : b, put('w', String(i)))
      expected.push(`${i + 2} w=${i}${i === 0 ? '' : ` was ${i - 1}`}`)
    }
    await write(a, del('w'))
    expected.push('22 w=deleted was 19')
    await until(() => a.revision === 22 && b.revision === 22)
    await settle()
    assert.deepEqual(
      sinks.map(({ lines }) => lines),
      [expected, expected],
    )
  })

  it('share leases: granted here, used, renewed and seen there', async () => {
    const id: LeaseId = 2n ** 60n + 1n
    await a.leaseGrant(id, 600)
    await write(b, put('l', 'x', id))
    assert.deepEqual((await a.leaseTimeToLive(id))?.keys.map(String), ['l'])
    assert.deepEqual(await b.leases(), [id])
    await assert.rejects(b.leaseGrant(id, 60), isKind('lease-exists'))
    assert.equal((await b.leaseKeepAlive(id))?.ttlSeconds, 600)
    await b.leaseRevoke(id)
    assert.deepEqual([await a.leases(), await read(a)], [[], []])
    await assert.rejects(write(a, put('m', 'x', id)), isKind('lease-not-found'))
    assert.equal(await a.leaseKeepAlive(id), undefined)
  })

  it('share alarms: raised here, in force there, disarmed there, for good', async () => {
    const full = { memberId: 9, alarm: AlarmType.noSpace }
    assert.deepEqual(await a.alarmActivate(full), [full])
    assert.deepEqual(await b.alarmActivate(full), [full])
    const { commits } = database
    await until(() => b.alarms.list().length === 1)
    assert.throws(() => b.alarms.assertGrowable(), isKind('no-space'))
    assert.deepEqual(await b.alarmDeactivate({ ...full, memberId: 8 }), [])
    assert.equal(database.commits, commits, 'nothing was changed')
    assert.deepEqual(await b.alarmDeactivate(full), [full])
    assert.deepEqual(await a.alarmList(AlarmType.none), [])
    await a.alarmActivate(full)
    await a.close()
    a = await open((dialectA = new MemoryDialect(database)))
    assert.deepEqual(await a.alarmList(AlarmType.noSpace), [full])
    assert.deepEqual(await a.alarmList(AlarmType.corrupt), [])
  })

  it('expire a lease once', async function () {
    this.timeout(10_000)
    const sink = new Sink()
    watch(b.hub.open(sink), '\0', '')
    await a.leaseGrant(7, 2)
    await write(a, put('l', 'x', 7))
    const grantedAt = performance.now()
    await until(async () => (await a.leases()).length === 0 && (await b.leases()).length === 0)
    assert.ok(performance.now() - grantedAt > 1900)
    await settle()
    assert.deepEqual(sink.lines, ['2 l=x', '3 l=deleted was x'])
    assert.equal(database.head.revision, 3)
  })

  it('do not expire a lease that the other one has renewed meanwhile', async function () {
    this.timeout(10_000)
    await a.leaseGrant(7, 2)
    await b.leases()
    // B hears nothing and takes the lease for expired until its own revocation is refused.
    const [follower] = [...database.followers].slice(1)
    assert.ok(follower)
    database.followers.delete(follower)
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 700))
      assert.equal((await a.leaseKeepAlive(7))?.id, 7)
    }
    assert.deepEqual(await b.leases(), [7])
  })

  it('take over a list of leases when tombstones are gone', async () => {
    for (const id of [1, 2, 3]) await a.leaseGrant(id, 600)
    await b.leases()
    dialectB.away = true
    await a.leaseRevoke(2)
    database.pruneLeases()
    await a.leaseGrant(4, 600)
    dialectB.away = false
    assert.deepEqual((await b.leases()).toSorted(), [1, 3, 4])
  })

  it('compact once for both', async () => {
    for (let i = 0; i < 6; i += 1) await write(a, put('c', String(i)))
    await a.compact(5)
    await assert.rejects(b.compact(5), isKind('compacted'))
    await assert.rejects(read(b, query('c', undefined, { revision: 4 })), isKind('compacted'))
    assert.deepEqual(await read(b, query('c', undefined, { revision: 5 })), ['c@5'])
    await until(() => database.rows.length === 3)
    const sink = new Sink()
    const stream = b.hub.open(sink)
    watch(stream, 'c', 'd', { startRevision: 4 })
    watch(stream, 'c', 'd', { startRevision: 6 })
    await until(() => sink.lines.length === 3)
    assert.deepEqual(sink.lines.toSorted(), ['6 c=4 was 3', '7 c=5 was 4', 'compacted 5'])
  })

  it('report a commit as unknown when its confirmation is lost, and apply it once', async () => {
    const sinks = [new Sink(), new Sink()]
    ;[a, b].forEach((store, i) => watch(store.hub.open(sinks[i] ?? new Sink()), '\0', ''))
    let losses = 1
    dialectA.afterAppend = () => {
      losses -= 1
      if (losses >= 0) throw new StoreError('unavailable')
    }
    await assert.rejects(write(a, put('u', '1')), isKind('unavailable'))
    assert.equal((await write(a, put('u', '2'))).revision, 3)
    await until(() => b.revision === 3)
    await settle()
    for (const { lines } of sinks) assert.deepEqual(lines, ['2 u=1', '3 u=2 was 1'])
  })

  it('refuse quickly while the database is away, and go on when it is back', async () => {
    await write(a, put('o', '1'))
    dialectA.away = true
    const startedAt = performance.now()
    const refused = await Promise.allSettled([write(a, put('o', '2')), read(a), a.leaseGrant(0, 60), a.leases()])
    for (const outcome of refused) assert.ok(outcome.status === 'rejected' && isKind('unavailable')(outcome.reason))
    assert.ok(performance.now() - startedAt < 500)
    await write(b, put('o', '3'))
    dialectA.away = false
    await until(() => a.revision === 3)
    assert.equal((await write(a, put('o', '4'))).revision, 4)
    assert.deepEqual(await read(b), ['o@4'])
  })

  it('come back after a sleep in which the log was compacted', async () => {
    for (const key of ['kept', 'changed', 'gone', 'leased']) await write(a, put(key))
    await a.leaseGrant(5, 600)
    await b.leases()
    const sink = new Sink()
    const stream = b.hub.open(sink)
    watch(stream, '\0', '')
    dialectB.away = true
    await write(a, put('changed', '2'))
    await write(a, del('gone'))
    await write(a, put('leased', 'x', 5))
    await write(a, put('new'))
    await a.compact(9)
    await write(a, put('later'))
    await until(() => database.prunedRevision === 9)
    dialectB.away = false
    await until(() => b.revision === 10)
    const expected = ['changed@6', 'kept@2', 'later@10', 'leased@8', 'new@9']
    assert.deepEqual([await read(b), b.keys, b.compactRevision], [expected, 5, 9])
    assert.deepEqual((await b.leaseTimeToLive(5))?.keys.map(String), ['leased'])
    await settle()
    assert.deepEqual(sink.lines, ['compacted 9'])
    watch(stream, '\0', '', { startRevision: 9 })
    await write(b, put('new', '2'))
    await settle()
    assert.deepEqual(sink.lines.slice(1), ['9 new=new', '10 later=later', '11 new=2 was new'])
  })

  it('load everything again when the history of the database was replaced', async () => {
    for (const key of ['x', 'y', 'z']) await write(a, put(key))
    await until(() => b.revision === 4)
    const sink = new Sink()
    watch(b.hub.open(sink), '\0', '')
    // A database that comes back from a backup, or a replica that lagged behind.
    database.rows = database.rows.slice(0, 1)
    database.head = { ...database.head, revision: 2, lastId: database.rows.at(-1)?.now.id ?? 0 }
    assert.deepEqual(await read(b), ['x@2'])
    assert.deepEqual(sink.lines, ['compacted 2'])
    assert.equal((await write(a, put('y', 'again'))).revision, 3)
    assert.deepEqual(
      [await read(a), await read(b)],
      [
        ['x@2', 'y@3'],
        ['x@2', 'y@3'],
      ],
    )
  })

  it('notice another history behind the same revision, after the database was away', async () => {
    await write(a, put('x', '1'))
    await until(() => b.revision === 2)
    const sink = new Sink()
    watch(a.hub.open(sink), '\0', '')
    dialectA.away = true
    await assert.rejects(read(a), isKind('unavailable'))
    const [row] = database.rows
    assert.ok(row)
    database.rows = [{ ...row, now: { ...row.now, key: Buffer.from('y') } }]
    dialectA.away = false
    assert.equal((await write(a, put('z'))).revision, 3)
    assert.deepEqual(await read(a), ['y@2', 'z@3'])
    assert.deepEqual(sink.lines, ['compacted 2'])
  })

  it('notice another row at the same revision', async () => {
    await write(a, put('x', '1'))
    const [row] = database.rows
    assert.ok(row)
    const id = row.now.id + 1
    database.rows = [{ ...row, now: { ...row.now, id, key: Buffer.from('y') } }]
    database.head = { ...database.head, lastId: id }
    assert.deepEqual(await read(a), ['y@2'])
    assert.equal((await write(b, put('z'))).revision, 3)
    const expected = ['y@2', 'z@3']
    assert.deepEqual([await read(a), await read(b)], [expected, expected])
  })

  it('close in the middle of reads, writes and commits of the other one', async () => {
    for (let round = 0; round < 20; round += 1) {
      const store = await open(new MemoryDialect(database))
      const calls = Array.from({ length: 10 }, (_, i) => [
        write(store, put(`c${i}`, String(round))),
        read(store),
        write(i % 2 === 0 ? a : b, put(`c${i}`, String(round))),
      ])
      await settle(round % 7)
      await store.close()
      for (const outcome of await Promise.allSettled(calls.flat())) {
        if (outcome.status === 'rejected') {
          assert.ok(isKind('stopped')(outcome.reason) || isKind('unavailable')(outcome.reason), String(outcome.reason))
        }
      }
    }
    assert.deepEqual(await read(a), await read(b))
  })

  it('close while the database is away', async () => {
    dialectA.away = true
    const refused = write(a, put('x'))
    await Promise.all([a.close(), assert.rejects(refused, isKind('unavailable'))])
    a = await open(new MemoryDialect(database))
  })

  it('read, and watch, what others have committed while an own commit waits for the lock', async () => {
    const sink = new Sink()
    watch(b.hub.open(sink), '\0', '')
    const gate = Promise.withResolvers<undefined>()
    dialectA.beforeAppend = () => gate.promise.then(() => undefined)
    const first = write(a, put('x', 'a'))
    await settle()
    const third = database.lock()
    const blocked = write(b, swap('x', 0, 'b'))
    await settle()
    gate.resolve(undefined)
    assert.equal((await first).revision, 2)
    const unlock = await third
    assert.deepEqual(await read(b), ['x@2'])
    assert.deepEqual(sink.lines, ['2 x=a'])
    unlock()
    assert.deepEqual([(await blocked).succeeded, (await write(b, put('x', 'b'))).revision], [false, 3])
    await settle()
    assert.deepEqual(sink.lines, ['2 x=a', '3 x=b was a'])
  })

  it('apply a commit once that was seen in the log before its confirmation came', async () => {
    const sink = new Sink()
    watch(a.hub.open(sink), '\0', '')
    const gate = Promise.withResolvers<undefined>()
    dialectA.afterAppend = () => gate.promise.then(() => undefined)
    const lease = a.leaseGrant(7, 600)
    const own = write(a, put('x', 'a'))
    await until(() => database.head.leaseSeq === 1)
    gate.resolve(undefined)
    await lease
    const confirmation = Promise.withResolvers<undefined>()
    dialectA.afterAppend = () => confirmation.promise.then(() => undefined)
    const leased = write(a, put('y', 'a', 7))
    await own
    await until(() => database.head.revision === 3)
    assert.equal((await write(b, put('x', 'b'))).revision, 4)
    assert.deepEqual(await read(a), ['x@4', 'y@3'])
    confirmation.resolve(undefined)
    assert.equal((await leased).revision, 3)
    assert.deepEqual((await a.leaseTimeToLive(7))?.keys.map(String), ['y'])
    await settle()
    assert.deepEqual(sink.lines, ['2 x=a', '3 y=a', '4 x=b was a'])
  })

  it('ask for the head once for all reads of a moment, and not for own commits', async () => {
    let heads = 0
    dialectA.beforeRead = () => {
      heads += 1
    }
    await Promise.all(Array.from({ length: 100 }, () => read(a, query('x', undefined, { countOnly: true }))))
    assert.equal(heads, 1)
    for (let i = 0; i < 10; i += 1) await write(a, put('x', String(i)))
    await settle()
    assert.equal(heads, 1)
  })

  it('wait at the start for a database that is away', async () => {
    const late = new MemoryDialect(database)
    late.away = true
    const opening = open(late)
    await new Promise((resolve) => setTimeout(resolve, 50))
    late.away = false
    await (await opening).close()
    late.away = true
    const stopping = new AbortController()
    const given = Store.open(OPTIONS, { dialect: late, log: silentLogger, onFailure, signal: stopping.signal })
    stopping.abort(new Error('stopped'))
    await assert.rejects(given, /aborted|unavailable/)
  })
})
