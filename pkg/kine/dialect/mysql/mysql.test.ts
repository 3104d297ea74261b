import assert from 'node:assert/strict'
import type { Head, LogRow } from '#pkg/kine/dialect/dialect.ts'
import type { MysqlDialect } from '#pkg/kine/dialect/mysql/mysql.ts'
import { KineError, StoreError } from '#pkg/kine/errors.ts'
import { IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { batchAfter, EVERYTHING, FRESH, newRow } from '#pkg/kine/testing/batches.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import { MysqlFixture } from '#pkg/kine/testing/mysql-fixture.ts'

const b = (text: string): Buffer<ArrayBuffer> => Buffer.from(text)
const compacted = (error: unknown): boolean => error instanceof StoreError && error.kind === 'compacted'

describe('MysqlDialect', function () {
  this.timeout(60_000)
  const on = MysqlFixture.forEach()
  let dialect: MysqlDialect
  let head: Head

  const append = async (...args: Parameters<typeof batchAfter> extends [Head, ...infer R] ? R : never) => {
    const batch = batchAfter(head, ...args)
    const result = await dialect.append(batch)
    assert.ok(result.committed)
    head = batch.next
    return result.previousValues
  }

  before(async () => {
    // Of new sessions: a batch is to take several packets.
    await (await DATABASES.mariadb()).query('SET GLOBAL max_allowed_packet = 4194304')
  })
  after(async () => {
    await (await DATABASES.mariadb()).query('SET GLOBAL max_allowed_packet = DEFAULT')
  })
  beforeEach(async () => {
    dialect = on.dialectAt(on.url)
    head = FRESH
    assert.deepEqual(await dialect.open().then(({ revision, lastId }) => ({ revision, lastId })), {
      revision: 1,
      lastId: 0,
    })
  })

  it('gives back what was appended, byte by byte', async () => {
    const allBytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const rows = [
      newRow(2, 'a', { value: Buffer.alloc(0) }),
      newRow(3, Buffer.concat([b('k'), allBytes]), { value: allBytes, lease: -(2n ** 62n), version: 3 }),
      newRow(4, b("'; DROP TABLE k0s_log; -- \\").subarray(0), { value: b("\\'\\"), lease: 2n ** 63n - 1n }),
      newRow(5, Buffer.alloc(5000, 'long'), { value: Buffer.alloc(1.5 * 2 ** 20, "'"), lease: 2 ** 52 }),
      newRow(2 ** 42, 'z'),
    ]
    await append(rows)
    assert.deepEqual(
      await dialect.readIndex(undefined),
      rows.map(({ now }) => now),
    )
    assert.deepEqual(await dialect.readIndex(b('z')), [])
    const values = await dialect.readValues([...rows.map(({ now }) => now.id), 77])
    assert.deepEqual(
      rows.map(({ now, value }) => values.get(now.id)?.equals(value)),
      rows.map(() => true),
    )
    assert.equal(values.size, rows.length)
    const again = on.dialectAt(on.url)
    const { revision, lastId } = await again.open()
    assert.deepEqual({ revision, lastId }, { revision: 2 ** 42, lastId: 2 ** 52 })
    assert.equal((await again.readIndex(undefined)).length, 5)
    await again.close()
  })

  it('commits a batch of many packets as a whole', async () => {
    const value = Buffer.alloc(1.2 * 2 ** 20, '\\')
    const rows = Array.from({ length: 8 }, (_, i) => newRow(2 + i, `k${i}`, { value }))
    await append(rows)
    const broken = batchAfter(head, [
      ...rows.map(({ now }, i) => newRow(10 + i, now.key, { value })),
      newRow(3, 'twice'),
    ])
    await assert.rejects(dialect.append({ ...broken, next: { ...broken.next, revision: 17 } }), StoreError)
    assert.deepEqual(await dialect.shared.head(), head)
    assert.equal((await dialect.readIndex(undefined)).length, 8)
    await append([newRow(10, 'k0')])
  })

  it('reads replaced values within the commit', async () => {
    await append([newRow(2, 'a'), newRow(3, 'b')])
    const values = await append([newRow(4, 'a', { previousId: 2048 }), newRow(5, 'b', { previousId: 3072 })])
    assert.deepEqual([...values].map(String), ['2048,a@2', '3072,b@3'])
  })

  it('finds versions of the past, those behind large transactions too', async () => {
    const many = Array.from({ length: 2000 }, (_, i) => newRow(3, `m${i}`, { id: 3072 + i }))
    await append([newRow(2, 'a'), ...many])
    await append([newRow(4, 'a', { version: 2, id: 6000 }), newRow(5, 'a', { version: 0, id: 6001 })])
    const at = async (revision: number): Promise<unknown> => {
      const versions = await dialect.readVersions([b('a'), b('m1999'), b('none')], revision)
      return versions.map((version) => version && [version.modRevision, version.version])
    }
    assert.deepEqual(await at(1), [undefined, undefined, undefined])
    assert.deepEqual(await at(2), [[2, 1], undefined, undefined])
    assert.deepEqual(await at(3), [[2, 1], [3, 1], undefined])
    assert.deepEqual(await at(4), [[4, 2], [3, 1], undefined])
    assert.deepEqual(await at(9), [[5, 0], [3, 1], undefined])
    const keys = many.map(({ now }) => now.key)
    const all = await dialect.readVersions(keys, 3)
    assert.ok(all.every((version, i) => version?.id === 3072 + i))
  })

  const query = (from: number, maxRows: number, range = EVERYTHING) => ({
    range,
    from,
    to: 7,
    maxRows,
    withPrevious: true,
  })
  const show = ({ now, value, previousValue }: LogRow): string =>
    `${String(now.key)}@${now.modRevision} ${String(value)} ${String(previousValue)}`

  it('pages the log behind whole revisions, each row with the one before it', async () => {
    const changed = { version: 2, createRevision: 2 }
    const many = Array.from({ length: 5 }, (_, i) => newRow(4, `m${i}`, { id: 4096 + i, value: b('m') }))
    const twice = [6144, 6145].map((id) => newRow(6, 'a', { id, ...changed, value: b(`a${id}`) }))
    const gone = newRow(5, 'b', { version: 0, value: b('') })
    await append([newRow(2, 'a'), newRow(2, 'b', { id: 2049 }), newRow(3, 'a', changed), ...many, gone, ...twice])
    await append([newRow(7, 'b'), newRow(8, 'late')])
    const read = async (...args: Parameters<typeof query>): Promise<unknown> => {
      const { rows, through } = await dialect.readLog(query(...args))
      return [through, ...rows.map(show)]
    }
    assert.deepEqual(await read(2, 2), [2, 'a@2 a@2 undefined', 'b@2 b@2 undefined'])
    assert.deepEqual(await read(4, 2), [4, ...[0, 1, 2, 3, 4].map((i) => `m${i}@4 m undefined`)])
    const tail = ['b@5  b@2', 'a@6 a6144 a@3', 'a@6 a6145 a@3', 'b@7 b@7 undefined']
    assert.deepEqual(await read(5, 100), [7, ...tail])
    assert.deepEqual(await read(3, 100, { start: b('b'), end: b('c') }), [7, tail[0], tail[3]])
    const { rows } = await dialect.readLog({ ...query(5, 100), withPrevious: false })
    assert.deepEqual(
      rows.map(({ previous }) => previous),
      [undefined, undefined, undefined, undefined],
    )
  })

  it('ends a page before it gets too large', async () => {
    const value = Buffer.alloc(600 * 1024, 'v')
    await append([2, 3, 4, 5].map((revision) => newRow(revision, `k${revision}`, { value })))
    const page = await dialect.readLog(query(2, 100))
    assert.deepEqual([page.through, page.rows.length], [3, 2])
    // Values of others do not count.
    const other = await dialect.readLog(query(2, 100, { start: b('k5'), end: b('k6') }))
    assert.deepEqual([other.through, other.rows.length], [7, 1])
  })

  it('prunes by the rule of etcd, in slices, while nobody else does, and tells readers', async () => {
    const rows = Array.from({ length: 1500 }, (_, i) => newRow(i + 2, `k${i % 3}`, { version: 2, createRevision: 1 }))
    await append(rows)
    const ends = [newRow(1502, 'k0', { version: 0 }), newRow(1503, 'k1', { version: 0 }), newRow(1504, 'k2')]
    await append(ends, { compactRevision: 1503 })
    const other = on.dialectAt(on.url)
    await other.open()
    let slices = 0
    for (let done = false; !done; slices += 1) {
      ;({ done } = await dialect.prune(1503))
      if (!done) assert.deepEqual(await other.prune(1503), { deleted: 0, done: false, elsewhere: true })
    }
    assert.ok(slices > 5)
    assert.deepEqual(await other.prune(1503), { deleted: 0, done: true })
    assert.equal((await other.open()).prunedRevision, 1503)
    await other.close()
    const { rows: left } = await dialect.readLog({ ...query(1503, 10_000), to: 1504 })
    assert.deepEqual(
      left.map(({ now }) => now.id),
      [1503 * 1024, 1504 * 1024],
    )
    assert.deepEqual(
      (await dialect.readIndex(undefined)).map(({ key, modRevision }) => `${String(key)}@${modRevision}`),
      ['k1@1503', 'k2@1504'],
    )
    await assert.rejects(dialect.readLog(query(1502, 10)), compacted)
    await assert.rejects(dialect.readVersions([b('k0')], 1502), compacted)
    await assert.rejects(dialect.readVersions([b('none')], 1502), compacted)
    assert.equal((await dialect.readVersions([b('k2')], 1503))[0]?.modRevision, 1501)
  })

  it('tells its size and gives space back', async () => {
    await append([newRow(2, 'a', { value: Buffer.alloc(100_000) })])
    await dialect.defragment()
    const { bytes, inUseBytes } = await dialect.size()
    assert.ok(inUseBytes > 30_000 && bytes >= inUseBytes, `${bytes} ${inUseBytes}`)
  })

  it('creates a missing database, and refuses a wrong password and a newer schema', async () => {
    await dialect.close()
    await on.server.query("GRANT ALL ON `kine%`.* TO kine@'%'")
    dialect = on.dialectAt(on.url.replace(/\/[^/]*$/, '/kine_new'))
    assert.equal((await dialect.open()).revision, 1)
    const wrong = on.dialectAt(on.server.url('kine_new', { password: 'not-this' }))
    await assert.rejects(
      wrong.open(),
      (error) => error instanceof KineError && /Access denied/.test(error.message) && !/not-this/.test(error.message),
    )
    await wrong.close()
    await on.server.query('UPDATE k0s_meta SET schema_version = 99', 'kine_new')
    await assert.rejects(dialect.open(), /schema version 99 is newer/)
  })

  it('marks the database of an upstream kine, and reads its table', async () => {
    const upstream = await on.server.createDatabase()
    const name = upstream.slice(upstream.lastIndexOf('/') + 1)
    const columns =
      'id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(630) CHARACTER SET ascii, created INTEGER,' +
      ' deleted INTEGER, create_revision BIGINT UNSIGNED, prev_revision BIGINT UNSIGNED, lease INTEGER,' +
      ' value MEDIUMBLOB, old_value MEDIUMBLOB'
    await on.server.query(`CREATE TABLE kine (${columns})`, name)
    const rows = "(1, 'compact_rev_key', 1, 0, NULL, 12, 0, '', NULL), (13, 'gap-13', 0, 1, 0, 0, 0, NULL, NULL)"
    await on.server.query(`INSERT INTO kine VALUES ${rows}, (14, '/a', 0, 0, 3, 9, 15, x'00ff', x'01')`, name)
    await on.server.query(
      "INSERT INTO kine SELECT 20 + seq, '/big', 0, 0, 3, 9, 0, REPEAT('v', 3e6), NULL FROM seq_1_to_3",
      name,
    )
    const importing = on.dialectAt(upstream)
    assert.equal((await importing.open()).compactRevision, IMPORT_PENDING)
    const first = await importing.readUpstream(1)
    const row = { created: false, deleted: true, createRevision: 0, previousRevision: 0, lease: 0, value: b('') }
    const put = { deleted: false, createRevision: 3, previousRevision: 9, lease: 15, value: Buffer.from([0, 255]) }
    assert.deepEqual(first.slice(0, 2), [
      { ...row, id: 13, name: b('gap-13') },
      { ...row, ...put, id: 14, name: b('/a') },
    ])
    assert.deepEqual(
      first.slice(2).map(({ id }) => id),
      [21],
    )
    assert.deepEqual(
      (await importing.readUpstream(22)).map(({ id, value }) => [id, value.length]),
      [[23, 3e6]],
    )
    assert.deepEqual(await importing.readUpstream(23), [])
    await importing.close()
  })

  it('is made once when several instances start together', async () => {
    const fresh = await on.server.createDatabase()
    const instances = [1, 2, 3, 4].map(() => on.dialectAt(fresh))
    const states = await Promise.all(instances.map((instance) => instance.open()))
    assert.equal(new Set(states.map(({ clusterId }) => clusterId)).size, 1)
    await Promise.all(instances.map((instance) => instance.close()))
  })
})
