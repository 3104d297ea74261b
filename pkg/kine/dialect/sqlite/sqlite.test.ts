import assert from 'node:assert/strict'
import { mkdtemp, open as openFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { KeyVersion } from '#pkg/kine/backend.ts'
import { UNKNOWN_ROW } from '#pkg/kine/dialect/dialect.ts'
import type { AppendBatch, AppendResult, NewRow } from '#pkg/kine/dialect/dialect.ts'
import { SqliteDialect } from '#pkg/kine/dialect/sqlite/sqlite.ts'
import { KineError, StoreError } from '#pkg/kine/errors.ts'
import { testFiles } from '#pkg/kine/testing/servers.ts'

const b = (text: string): Buffer<ArrayBuffer> => Buffer.from(text)
const everything = { start: Buffer.alloc(0), end: Buffer.alloc(0) }
const head = { revision: 1, lastId: 0, compactRevision: -1, leaseSeq: 0 }
const NOTHING = { leases: [], revokedLeases: [], after: head, next: head }
const compactTo = (compactRevision: number) => ({ ...NOTHING, next: { ...head, compactRevision } })

function row(
  revision: number,
  key: string,
  more: Partial<KeyVersion> & { readonly value?: Buffer<ArrayBuffer> } = {},
): NewRow {
  const { value = b(`${key}@${revision}`), ...fields } = more
  const now = {
    key: b(key),
    id: revision * 1024,
    modRevision: revision,
    createRevision: revision,
    version: 1,
    lease: 0,
    valueSize: value.length,
    ...fields,
  }
  return { now, value, replacedId: 0, previousId: 0 }
}

describe('SqliteDialect', function () {
  this.timeout(60_000)
  let dir: string
  let dialect: SqliteDialect

  const open = async (): Promise<SqliteDialect> => {
    const options = { file: join(dir, 'state.db'), files: (await testFiles()).sqlite }
    return new SqliteDialect(options, { onFailure: (error) => assert.fail(error) })
  }

  /** Newest row of each key. */
  const newest = new Map<string, number>()

  /** Appends rows that each name the one of their key before them. */
  const append = (rows: readonly NewRow[], more: Omit<AppendBatch, 'rows'> = NOTHING): Promise<AppendResult> => {
    const linked = rows.map((item) => {
      const key = item.now.key.toString('latin1')
      const replacedId = newest.get(key) ?? 0
      newest.set(key, item.now.id)
      return { ...item, replacedId }
    })
    return dialect.append({ rows: linked, ...more })
  }

  beforeEach(async () => {
    newest.clear()
    dir = await mkdtemp(join(tmpdir(), 'kine-sqlite-'))
    dialect = await open()
    await dialect.open()
  })
  afterEach(async () => {
    await dialect.close()
    await rm(dir, { recursive: true, force: true })
  })

  it('gives back what was appended, byte by byte', async () => {
    const odd = { value: Buffer.from([0, 255, 0]), lease: -(2n ** 62n), version: 3, createRevision: 2 }
    const large = row(2 ** 40, 'k\0\xff', odd)
    await append([row(2, 'a', { value: Buffer.alloc(0) }), large])
    const index = await dialect.readIndex(undefined)
    assert.deepEqual(index, [large.now, row(2, 'a', { value: Buffer.alloc(0) }).now])
    assert.deepEqual(await dialect.readIndex(b('k\0\xff')), [])
    const values = await dialect.readValues([large.now.id, 2048, 77])
    assert.deepEqual([values.get(large.now.id), values.get(2048)?.length, values.get(77)], [odd.value, 0, undefined])
  })

  it('reads replaced values within the commit', async () => {
    await append([row(2, 'a')])
    const read = await dialect.append({ rows: [{ ...row(3, 'a'), previousId: 2048 }], ...NOTHING })
    assert.ok(read.committed)
    assert.equal(read.previousValues.get(2048)?.toString(), 'a@2')
  })

  it('commits a batch whole or not at all', async () => {
    await append([row(2, 'a')])
    const twice = { rows: [row(3, 'b'), row(2, 'c')], ...NOTHING }
    await assert.rejects(dialect.append(twice), (error: unknown) => error instanceof StoreError)
    assert.equal((await dialect.readIndex(undefined)).length, 1)
    await append([row(3, 'b')])
    assert.equal((await dialect.readIndex(undefined)).length, 2)
  })

  it('finds versions of the past', async () => {
    const rows = [row(2, 'a'), row(3, 'b'), row(4, 'a', { version: 2 }), row(5, 'b', { version: 0 }), row(6, 'b')]
    await append(rows)
    const seen = []
    for (const revision of [1, 3, 5, 6]) {
      const versions = await dialect.readVersions([b('a'), b('b')], revision, [4 * 1024, 6 * 1024])
      seen.push(versions.map((version) => version && [version.modRevision, version.version]))
    }
    assert.deepEqual(seen, [
      [undefined, undefined],
      [
        [2, 1],
        [3, 1],
      ],
      [
        [4, 2],
        [5, 0],
      ],
      [
        [4, 2],
        [6, 1],
      ],
    ])
  })

  it('pages the log behind whole revisions, each row with the one before it', async () => {
    const delta = row(3, 'a', { version: 2, createRevision: 2 })
    const many = Array.from({ length: 5 }, (_, i) => row(4, `m${i}`, { id: 4 * 1024 + i }))
    const gone = row(5, 'a', { version: 0, createRevision: 2, value: Buffer.alloc(0) })
    await append([row(2, 'a'), delta, ...many, gone, row(6, 'a')])
    const show = async (from: number, maxRows: number, range = everything): Promise<unknown> => {
      const { rows, through } = await dialect.readLog({ range, from, to: 6, maxRows, withPrevious: true })
      return [
        through,
        ...rows.map(({ now, previousValue }) => `${String(now.key)}@${now.modRevision} ${String(previousValue)}`),
      ]
    }
    assert.deepEqual(await show(2, 2), [3, 'a@2 undefined', 'a@3 a@2'])
    assert.deepEqual(await show(4, 2), [4, ...many.map(({ now }) => `${String(now.key)}@4 undefined`)])
    assert.deepEqual(await show(3, 100, { start: b('a'), end: b('b') }), [6, 'a@3 a@2', 'a@5 a@3', 'a@6 undefined'])
    assert.deepEqual(await show(7, 100), [6])
  })

  it('prunes by the rule of etcd, in portions, and gives the space back', async () => {
    const value = Buffer.alloc(4000, 'v')
    const rows = Array.from({ length: 2000 }, (_, i) =>
      row(i + 2, `k${i % 10}`, { version: 2, createRevision: 1, value }),
    )
    for (let i = 0; i < rows.length; i += 100) await append(rows.slice(i, i + 100))
    const ends = [row(2002, 'k0', { version: 0 }), row(2003, 'k1', { version: 0 }), row(2004, 'k2')]
    await append(ends, compactTo(2003))
    let slices = 0
    for (let done = false; !done; slices += 1) ({ done } = await dialect.prune(2003))
    assert.ok(slices > 5)
    const { rows: left } = await dialect.readLog({
      range: everything,
      from: 1,
      to: 2004,
      maxRows: 10_000,
      withPrevious: false,
    })
    const names = left.map(({ now }) => `${String(now.key)}@${now.modRevision}`)
    const survivors = rows.slice(1992).map(({ now }) => `${String(now.key)}@${now.modRevision}`)
    assert.deepEqual(names, [...survivors, 'k1@2003', 'k2@2004'])
    assert.deepEqual(await dialect.prune(2004), { deleted: 2, done: true })
    await dialect.defragment()
    const { bytes, inUseBytes } = await dialect.size()
    assert.ok(bytes < 500_000 && inUseBytes <= bytes, `${bytes} bytes`)
    assert.equal((await stat(join(dir, 'state.db'))).size, bytes)
  })

  it('finds the row before each of a log that was written without', async () => {
    const rows = [row(2, 'a'), row(3, 'b'), row(4, 'a', { version: 2, createRevision: 2 }), row(5, 'a', { version: 0 })]
    for (const part of [rows.slice(0, 3), rows.slice(3)]) {
      await dialect.append({ rows: part.map((item) => ({ ...item, replacedId: UNKNOWN_ROW })), ...NOTHING })
    }
    await dialect.close()
    dialect = await open()
    await dialect.open()
    const index = await dialect.readIndex(undefined)
    assert.deepEqual(
      index.map(({ key, modRevision }) => `${String(key)}@${modRevision}`),
      ['a@5', 'b@3'],
    )
    const past = await dialect.readVersions([b('a')], 3, [5 * 1024])
    assert.equal(past[0]?.modRevision, 2)
    assert.deepEqual(await dialect.prune(4), { deleted: 1, done: true })
  })

  it('keeps leases, compact revision and identity', async () => {
    const lease = { id: 2n ** 62n + 1n, ttlSeconds: 9_000_000_000, remainingMs: 60_000 }
    await dialect.append({ ...compactTo(2), rows: [row(2, 'a', { lease: -5 })], leases: [lease, { ...lease, id: -5 }] })
    await dialect.append({ ...NOTHING, rows: [], leases: [{ ...lease, ttlSeconds: 7 }], revokedLeases: [-5] })
    await dialect.close()
    dialect = await open()
    const { clusterId, memberId, leases, ...state } = await dialect.open()
    assert.ok(clusterId > 0 && memberId > 0 && clusterId !== memberId)
    assert.deepEqual(state, {
      revision: 2,
      lastId: 2048,
      compactRevision: 2,
      prunedRevision: -1,
      leaseSeq: 0,
      alarms: [],
    })
    const [{ remainingMs, ...rest } = lease] = leases
    assert.deepEqual([leases.length, rest], [1, { id: lease.id, ttlSeconds: 7 }])
    assert.ok(remainingMs > 50_000 && remainingMs <= 60_000, `${remainingMs} ms`)
  })

  it('refuses a database of a newer version, or of somebody else', async () => {
    await dialect.close()
    // PRAGMA user_version, in the header of the file.
    const setVersion = async (version: number): Promise<void> => {
      await using file = await openFile(join(dir, 'state.db'), 'r+')
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(version)
      await file.write(bytes, 0, 4, 60)
    }
    const cases: [number, RegExp][] = [
      [99, /schema version 99 is newer than 3; run the version of k0s that wrote it/],
      [0, /holds other tables/],
    ]
    for (const [version, message] of cases) {
      await setVersion(version)
      const refused = await open()
      await assert.rejects(
        refused.open(),
        (error: unknown) => error instanceof KineError && message.test(error.message),
      )
    }
    await setVersion(3)
    dialect = await open()
    await dialect.open()
  })
})
