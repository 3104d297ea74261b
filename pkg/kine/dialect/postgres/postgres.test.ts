import assert from 'node:assert/strict'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import { KineError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { batchAfter, EVERYTHING, newRow } from '#pkg/kine/testing/batches.ts'
import { PostgresFixture } from '#pkg/kine/testing/postgres-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

const b = (text: string): Buffer<ArrayBuffer> => Buffer.from(text)

describe('PostgresDialect', function () {
  this.timeout(60_000)
  const on = PostgresFixture.forEach()

  it('gives back what was appended, byte by byte', async () => {
    const dialect = on.dialectAt(on.url)
    const state = await dialect.open()
    assert.deepEqual([state.revision, state.lastId, state.compactRevision, state.prunedRevision], [1, 0, -1, -1])
    const large = newRow(2 ** 40, `k\0\xff${'x'.repeat(20_000)}`, {
      value: Buffer.from([0, 255, 0, ...Buffer.alloc(300_000, 'v')]),
      lease: -(2n ** 62n),
      version: 3,
      createRevision: 2,
    })
    const rows = [newRow(2, 'a', { value: Buffer.alloc(0) }), large]
    const first = batchAfter(state, rows)
    assert.deepEqual(await dialect.append(first), { committed: true, previousValues: new Map() })
    const index = [...(await dialect.readIndex(undefined))].sort((x, y) => x.id - y.id)
    assert.deepEqual(index, [rows[0]?.now, large.now])
    const values = await dialect.readValues([large.now.id, 2048, 77])
    assert.deepEqual([values.get(large.now.id), values.get(2048)?.length, values.get(77)], [large.value, 0, undefined])
    const second = batchAfter(first.next, [newRow(2 ** 40 + 1, 'a', { previousId: large.now.id })])
    const result = await dialect.append(second)
    assert.ok(result.committed)
    assert.deepEqual(result.previousValues.get(large.now.id), large.value)
    assert.deepEqual(await dialect.shared.head(), second.next)
    const again = on.dialectAt(on.url)
    const { clusterId, memberId, ...reopened } = await again.open()
    assert.deepEqual([clusterId, memberId], [state.clusterId, state.memberId])
    assert.deepEqual(reopened, { ...second.next, prunedRevision: -1, leases: [], alarms: [] })
  })

  it('reads the log in pages of whole revisions, with what was there before', async () => {
    const dialect = on.dialectAt(on.url)
    const state = await dialect.open()
    const of = (revision: number, i: number): number => revision * 1024 + i
    const rows = [
      newRow(2, 'a'),
      ...[0, 1, 2, 3].map((i) => newRow(3, `t${i}`, { id: of(3, i) })),
      newRow(4, 'a', { createRevision: 2, version: 2 }),
      newRow(5, 'a', { createRevision: 2, version: 0, value: Buffer.alloc(0) }),
      newRow(6, 'a'),
    ]
    await dialect.append(batchAfter(state, rows))
    const read = { range: EVERYTHING, from: 2, to: 6, maxRows: 3, withPrevious: true }
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
      batchAfter(
        await dialect.shared.head(),
        [7, 8, 9].map((at) => newRow(at, `big${at}`, { value: big })),
      ),
    )
    assert.equal((await dialect.readLog({ ...read, from: 2, to: 9, maxRows: 100 })).through, 8)
  })

  it('prunes what compaction drops, one instance at a time, and tells readers', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const state = await one.open()
    await two.open()
    const rows = [
      newRow(2, 'a'),
      newRow(3, 'a', { version: 2 }),
      newRow(4, 'b'),
      newRow(5, 'b', { version: 0 }),
      newRow(6, 'a'),
      newRow(7, 'c'),
    ]
    await one.append(batchAfter(state, rows))
    assert.deepEqual(await one.prune(6), { deleted: 4, done: true })
    assert.deepEqual(await two.prune(6), { deleted: 0, done: true })
    const kept = [...(await two.readIndex(undefined))]
      .map(({ key, modRevision }) => `${key.toString()}@${modRevision}`)
      .sort()
    assert.deepEqual(kept, ['a@6', 'c@7'])
    await assert.rejects(two.readVersions([b('a')], 5), /compacted/)
    await assert.rejects(
      two.readLog({ range: EVERYTHING, from: 5, to: 7, maxRows: 9, withPrevious: false }),
      /compacted/,
    )
    assert.equal((await two.readVersions([b('a')], 6))[0]?.modRevision, 6)
    assert.equal((await on.dialectAt(on.url).open()).prunedRevision, 6)
    const { bytes, inUseBytes } = await one.size()
    assert.ok(bytes > 0 && inUseBytes > 0 && inUseBytes <= bytes)
    await one.defragment()
  })

  it('commits durably whatever the database is set to', async () => {
    const name = on.database
    await on.server.query(`ALTER DATABASE ${name} SET synchronous_commit = off`)
    const dialect = on.dialectAt(on.url)
    const state = await dialect.open()
    assert.match(on.log.lines.join(), /acknowledged.*fsync/)
    const flushed = async (): Promise<boolean> =>
      (await on.server.query('SELECT pg_current_wal_insert_lsn() - pg_current_wal_flush_lsn() = 0'))[0]?.[0] === true
    let head: Head = state
    let durable = 0
    for (let revision = 2; revision < 12; revision += 1) {
      const next = batchAfter(head, [newRow(revision, 'a')])
      assert.ok((await dialect.append(next)).committed)
      if (await flushed()) durable += 1
      head = next.next
    }
    // The server itself writes at times; without waiting for the disk hardly one commit would be there at once.
    assert.ok(durable >= 6, `${durable} of 10`)
  })

  it('makes a missing database, marks one of an upstream kine, and says what it cannot do', async () => {
    const missing = on.server.url(`missing_${process.pid}`)
    const state = await on.dialectAt(missing).open()
    assert.equal(state.revision, 1)
    const name = on.database
    await on.server.query(
      `CREATE TABLE kine (id bigserial PRIMARY KEY, name text, created int, deleted int, create_revision bigint,
        prev_revision bigint, lease int, value bytea, old_value bytea);
       INSERT INTO kine VALUES (3, '/a', 1, 0, 0, 0, 5, 'v', NULL); ALTER TABLE kine OWNER TO kine`,
      name,
    )
    const upstream = on.dialectAt(on.url)
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
    await assert.rejects(on.dialectAt(on.server.url(name, { password: 'wrong' })).open(), (error) => {
      return (
        error instanceof KineError && /authentication failed/.test(error.message) && !error.message.includes('wrong')
      )
    })
    await on.server.query('UPDATE k0s_meta SET schema_version = 99', name)
    await assert.rejects(on.dialectAt(on.url).open(), /newer than/)
    await assert.rejects(on.dialectAt('postgres://u:p@127.0.0.1:1/db').open(), unavailable)
  })
})
