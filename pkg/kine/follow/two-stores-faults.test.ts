import assert from 'node:assert/strict'
import { StoreError } from '#pkg/kine/errors.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { del, isKind, put, query, settle, Sink, watch } from '#pkg/kine/testing/store-requests.ts'
import { TwoStores, read, until, write } from '#pkg/kine/testing/two-stores.ts'

describe('two stores on one database that fails them', () => {
  const on = TwoStores.forEach()

  it('report a commit as unknown when its confirmation is lost, and apply it once', async () => {
    const sinks = [new Sink(), new Sink()]
    ;[on.a, on.b].forEach((store, i) => watch(store.hub.open(sinks[i] ?? new Sink()), '\0', ''))
    let losses = 1
    on.dialectA.afterAppend = () => {
      losses -= 1
      if (losses >= 0) throw new StoreError('unavailable')
    }
    await assert.rejects(write(on.a, put('u', '1')), isKind('unavailable'))
    assert.equal((await write(on.a, put('u', '2'))).revision, 3)
    await until(() => on.b.revision === 3)
    await settle()
    for (const { lines } of sinks) assert.deepEqual(lines, ['2 u=1', '3 u=2 was 1'])
  })

  it('refuse quickly while the database is away, and go on when it is back', async () => {
    await write(on.a, put('o', '1'))
    on.dialectA.away = true
    const startedAt = performance.now()
    const refused = await Promise.allSettled([
      write(on.a, put('o', '2')),
      read(on.a),
      on.a.leaseGrant(0, 60),
      on.a.leases(),
    ])
    for (const outcome of refused) assert.ok(outcome.status === 'rejected' && isKind('unavailable')(outcome.reason))
    assert.ok(performance.now() - startedAt < 500)
    await write(on.b, put('o', '3'))
    on.dialectA.away = false
    await until(() => on.a.revision === 3)
    assert.equal((await write(on.a, put('o', '4'))).revision, 4)
    assert.deepEqual(await read(on.b), ['o@4'])
  })

  it('come back after a sleep in which the log was compacted', async () => {
    for (const key of ['kept', 'changed', 'gone', 'leased']) await write(on.a, put(key))
    await on.a.leaseGrant(5, 600)
    await on.b.leases()
    const sink = new Sink()
    const stream = on.b.hub.open(sink)
    watch(stream, '\0', '')
    on.dialectB.away = true
    await write(on.a, put('changed', '2'))
    await write(on.a, del('gone'))
    await write(on.a, put('leased', 'x', 5))
    await write(on.a, put('new'))
    await on.a.compact(9)
    await write(on.a, put('later'))
    await until(() => on.database.prunedRevision === 9)
    on.dialectB.away = false
    await until(() => on.b.revision === 10)
    const expected = ['changed@6', 'kept@2', 'later@10', 'leased@8', 'new@9']
    assert.deepEqual([await read(on.b), on.b.keys, on.b.compactRevision], [expected, 5, 9])
    assert.deepEqual((await on.b.leaseTimeToLive(5))?.keys.map(String), ['leased'])
    await settle()
    assert.deepEqual(sink.lines, ['compacted 9'])
    watch(stream, '\0', '', { startRevision: 9 })
    await write(on.b, put('new', '2'))
    await settle()
    assert.deepEqual(sink.lines.slice(1), ['9 new=new', '10 later=later', '11 new=2 was new'])
  })

  it('send no change without the value before it that the other one has compacted meanwhile', async () => {
    await on.b.close()
    on.b = await on.open(on.dialectB, { ringBytes: 1_000, cacheBytes: 1 })
    await write(on.a, put('x', '1'))
    for (let i = 0; i < 20; i += 1) await write(on.a, put('y', 'y'.repeat(100)))
    await until(() => on.b.revision === 22)
    await write(on.a, put('x', '2'))
    await until(() => on.b.revision === 23)
    // It stands still: it hears of nothing.
    const [follower] = [...on.database.followers].slice(1)
    assert.ok(follower)
    on.database.followers.delete(follower)
    await write(on.a, put('z'))
    await on.a.compact(24)
    await until(() => on.database.prunedRevision === 24)
    const sink = new Sink()
    watch(on.b.hub.open(sink), 'x', 'y', { startRevision: 23 })
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.deepEqual([on.b.compactRevision, sink.lines], [-1, []])
    assert.deepEqual(await read(on.b, query('x')), ['x@23'])
    await until(() => sink.lines.length > 0)
    assert.deepEqual(sink.lines, ['compacted 24'])
  })

  it('load everything again when the history of the database was replaced', async () => {
    for (const key of ['x', 'y', 'z']) await write(on.a, put(key))
    await until(() => on.b.revision === 4)
    const sink = new Sink()
    watch(on.b.hub.open(sink), '\0', '')
    // A database that comes back from a backup, or a replica that lagged behind.
    on.database.rows = on.database.rows.slice(0, 1)
    on.database.head = { ...on.database.head, revision: 2, lastId: on.database.rows.at(-1)?.now.id ?? 0 }
    assert.deepEqual(await read(on.b), ['x@2'])
    assert.deepEqual(sink.lines, ['compacted 2'])
    assert.equal((await write(on.a, put('y', 'again'))).revision, 3)
    assert.deepEqual(
      [await read(on.a), await read(on.b)],
      [
        ['x@2', 'y@3'],
        ['x@2', 'y@3'],
      ],
    )
  })

  it('notice another history behind the same revision, after the database was away', async () => {
    await write(on.a, put('x', '1'))
    await until(() => on.b.revision === 2)
    const sink = new Sink()
    watch(on.a.hub.open(sink), '\0', '')
    on.dialectA.away = true
    await assert.rejects(read(on.a), isKind('unavailable'))
    const [row] = on.database.rows
    assert.ok(row)
    on.database.rows = [{ ...row, now: { ...row.now, key: Buffer.from('y') } }]
    on.dialectA.away = false
    assert.equal((await write(on.a, put('z'))).revision, 3)
    assert.deepEqual(await read(on.a), ['y@2', 'z@3'])
    assert.deepEqual(sink.lines, ['compacted 2'])
  })

  it('notice another row at the same revision', async () => {
    await write(on.a, put('x', '1'))
    const [row] = on.database.rows
    assert.ok(row)
    const id = row.now.id + 1
    on.database.rows = [{ ...row, now: { ...row.now, id, key: Buffer.from('y') } }]
    on.database.head = { ...on.database.head, lastId: id }
    assert.deepEqual(await read(on.a), ['y@2'])
    assert.equal((await write(on.b, put('z'))).revision, 3)
    const expected = ['y@2', 'z@3']
    assert.deepEqual([await read(on.a), await read(on.b)], [expected, expected])
  })

  it('close in the middle of reads, writes and commits of the other one', async () => {
    for (let round = 0; round < 20; round += 1) {
      const store = await on.open(new MemoryDialect(on.database))
      const calls = Array.from({ length: 10 }, (_, i) => [
        write(store, put(`c${i}`, String(round))),
        read(store),
        write(i % 2 === 0 ? on.a : on.b, put(`c${i}`, String(round))),
      ])
      await settle(round % 7)
      await store.close()
      for (const outcome of await Promise.allSettled(calls.flat())) {
        if (outcome.status === 'rejected') {
          assert.ok(isKind('stopped')(outcome.reason) || isKind('unavailable')(outcome.reason), String(outcome.reason))
        }
      }
    }
    assert.deepEqual(await read(on.a), await read(on.b))
  })

  it('close while the database is away', async () => {
    on.dialectA.away = true
    const refused = write(on.a, put('x'))
    await Promise.all([on.a.close(), assert.rejects(refused, isKind('unavailable'))])
    on.a = await on.open(new MemoryDialect(on.database))
  })

  it('wait at the start for a database that is away', async () => {
    const late = new MemoryDialect(on.database)
    late.away = true
    const opening = on.open(late)
    await new Promise((resolve) => setTimeout(resolve, 50))
    late.away = false
    await (await opening).close()
    late.away = true
    const stopping = new AbortController()
    const given = on.open(late, { signal: stopping.signal })
    stopping.abort(new Error('stopped'))
    await assert.rejects(given, /aborted|unavailable/)
  })
})
