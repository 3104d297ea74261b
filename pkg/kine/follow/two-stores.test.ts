import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { del, isKind, put, query, settle, Sink, swap, watch } from '#pkg/kine/testing/store-requests.ts'
import { TwoStores, read, until, write } from '#pkg/kine/testing/two-stores.ts'

describe('two stores on one database', () => {
  const on = TwoStores.forEach()

  it('read what the other one has just written', async () => {
    await write(on.a, put('x', '1'))
    assert.deepEqual(await read(on.b), ['x@2'])
    await write(on.b, put('x', '2'))
    await write(on.b, put('y'))
    assert.deepEqual(await read(on.a), ['x@3', 'y@4'])
    const again = await write(on.a, swap('x', 2, 'lost'))
    assert.deepEqual([again.succeeded, again.revision], [false, 4])
  })

  it('answer serializable reads from memory', async () => {
    await write(on.a, put('x'))
    await until(() => on.b.revision === 2)
    on.dialectB.away = true
    assert.deepEqual(await read(on.b, query('x', undefined, { serializable: true })), ['x@2'])
    await assert.rejects(read(on.b), isKind('unavailable'))
  })

  it('decide a compare-and-swap once when both are asked at the same time', async () => {
    const results = await Promise.all(
      [on.a, on.b, on.a, on.b].map((store, i) => write(store, swap('race', 0, String(i)))),
    )
    assert.equal(results.filter(({ succeeded }) => succeeded).length, 1)
    assert.equal(on.database.head.revision, 2)
  })

  it('give watchers the changes of both, in order and once', async () => {
    const sinks = [new Sink(), new Sink()]
    ;[on.a, on.b].forEach((store, i) => watch(store.hub.open(sinks[i] ?? new Sink()), '\0', ''))
    const expected: string[] = []
    for (let i = 0; i < 20; i += 1) {
      await write(i % 3 === 0 ? on.a : on.b, put('w', String(i)))
      expected.push(`${i + 2} w=${i}${i === 0 ? '' : ` was ${i - 1}`}`)
    }
    await write(on.a, del('w'))
    expected.push('22 w=deleted was 19')
    await until(() => on.a.revision === 22 && on.b.revision === 22)
    await settle()
    assert.deepEqual(
      sinks.map(({ lines }) => lines),
      [expected, expected],
    )
  })

  it('share alarms: raised here, in force there, disarmed there, for good', async () => {
    const full = { memberId: 9, alarm: AlarmType.noSpace }
    assert.deepEqual(await on.a.alarmActivate(full), [full])
    assert.deepEqual(await on.b.alarmActivate(full), [full])
    const { commits } = on.database
    await until(() => on.b.alarms.list().length === 1)
    assert.throws(() => on.b.alarms.assertGrowable(), isKind('no-space'))
    assert.deepEqual(await on.b.alarmDeactivate({ ...full, memberId: 8 }), [])
    assert.equal(on.database.commits, commits, 'nothing was changed')
    assert.deepEqual(await on.b.alarmDeactivate(full), [full])
    assert.deepEqual(await on.a.alarmList(AlarmType.none), [])
    await on.a.alarmActivate(full)
    await on.a.close()
    on.a = await on.open((on.dialectA = new MemoryDialect(on.database)))
    assert.deepEqual(await on.a.alarmList(AlarmType.noSpace), [full])
    assert.deepEqual(await on.a.alarmList(AlarmType.corrupt), [])
  })

  it('compact once for both', async () => {
    for (let i = 0; i < 6; i += 1) await write(on.a, put('c', String(i)))
    await on.a.compact(5)
    await assert.rejects(on.b.compact(5), isKind('compacted'))
    await assert.rejects(read(on.b, query('c', undefined, { revision: 4 })), isKind('compacted'))
    assert.deepEqual(await read(on.b, query('c', undefined, { revision: 5 })), ['c@5'])
    await until(() => on.database.rows.length === 3)
    const sink = new Sink()
    const stream = on.b.hub.open(sink)
    watch(stream, 'c', 'd', { startRevision: 4 })
    watch(stream, 'c', 'd', { startRevision: 6 })
    await until(() => sink.lines.length === 3)
    assert.deepEqual(sink.lines.toSorted(), ['6 c=4 was 3', '7 c=5 was 4', 'compacted 5'])
  })

  it('read, and watch, what others have committed while an own commit waits for the lock', async () => {
    const sink = new Sink()
    watch(on.b.hub.open(sink), '\0', '')
    const gate = Promise.withResolvers<undefined>()
    on.dialectA.beforeAppend = () => gate.promise.then(() => undefined)
    const first = write(on.a, put('x', 'a'))
    await settle()
    const third = on.database.lock()
    const blocked = write(on.b, swap('x', 0, 'b'))
    await settle()
    gate.resolve(undefined)
    assert.equal((await first).revision, 2)
    const unlock = await third
    assert.deepEqual(await read(on.b), ['x@2'])
    assert.deepEqual(sink.lines, ['2 x=a'])
    unlock()
    assert.deepEqual([(await blocked).succeeded, (await write(on.b, put('x', 'b'))).revision], [false, 3])
    await settle()
    assert.deepEqual(sink.lines, ['2 x=a', '3 x=b was a'])
  })

  it('apply a commit once that was seen in the log before its confirmation came', async () => {
    const sink = new Sink()
    watch(on.a.hub.open(sink), '\0', '')
    const gate = Promise.withResolvers<undefined>()
    on.dialectA.afterAppend = () => gate.promise.then(() => undefined)
    const lease = on.a.leaseGrant(7, 600)
    const own = write(on.a, put('x', 'a'))
    await until(() => on.database.head.leaseSeq === 1)
    gate.resolve(undefined)
    await lease
    const confirmation = Promise.withResolvers<undefined>()
    on.dialectA.afterAppend = () => confirmation.promise.then(() => undefined)
    const leased = write(on.a, put('y', 'a', 7))
    await own
    await until(() => on.database.head.revision === 3)
    assert.equal((await write(on.b, put('x', 'b'))).revision, 4)
    assert.deepEqual(await read(on.a), ['x@4', 'y@3'])
    confirmation.resolve(undefined)
    assert.equal((await leased).revision, 3)
    assert.deepEqual((await on.a.leaseTimeToLive(7))?.keys.map(String), ['y'])
    await settle()
    assert.deepEqual(sink.lines, ['2 x=a', '3 y=a', '4 x=b was a'])
  })

  it('ask for the head once for all reads of a moment, and not for own commits', async () => {
    let heads = 0
    on.dialectA.beforeRead = () => {
      heads += 1
    }
    await Promise.all(Array.from({ length: 100 }, () => read(on.a, query('x', undefined, { countOnly: true }))))
    assert.equal(heads, 1)
    for (let i = 0; i < 10; i += 1) await write(on.a, put('x', String(i)))
    await settle()
    assert.equal(heads, 1)
  })
})
