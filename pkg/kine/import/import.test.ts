import { strict as assert } from 'node:assert'
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SqliteDialect } from '#pkg/kine/dialect/sqlite/sqlite.ts'
import { openImported } from '#pkg/kine/import/import.ts'
import { COPY_PENDING, IMPORT_PENDING } from '#pkg/kine/import/incomplete.ts'
import { readChanges } from '#pkg/kine/import/log-reader.ts'
import { LogWriter } from '#pkg/kine/import/log-writer.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { startKine, testFiles } from '#pkg/kine/testing/servers.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const here = join(import.meta.dirname, 'testdata')

describe('import of an upstream kine', function () {
  this.timeout(20_000)
  let dir: string
  let file: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-import-'))
    file = join(dir, 'state.db')
  })

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  const openDialect = async (readOnly = false): Promise<SqliteDialect> =>
    new SqliteDialect(
      { file, files: (await testFiles()).sqlite, readOnly },
      { onFailure: (error) => assert.fail(error) },
    )

  const writeUpstream = async (): Promise<void> => {
    const db = new DatabaseSync(file)
    db.exec(await readFile(join(here, 'upstream.sql'), 'utf8'))
    db.close()
  }

  const show = ({ key, revision, createRevision, version, lease, value }: StoredChange): string =>
    `${revision} ${String(key)} c${createRevision} v${version} l${lease} ${value.toString('latin1')}`

  it('keeps objects, revisions and the history since the compaction', async () => {
    await writeUpstream()
    const dialect = await openDialect()
    const { leases, ...state } = await openImported({ dialect, log: silentLogger })
    const changes = (await Array.fromAsync(readChanges(dialect, 0, 1000))).flat()
    await dialect.close()
    assert.deepEqual([state.revision, state.compactRevision], [23, 12])
    assert.deepEqual(changes.map(show), [
      '2 /registry/health c2 v1 l0 {"health":"true"}',
      '9 /registry/pods/default/old c3 v2 l0 old@9',
      '11 /registry/pods/default/steady c11 v1 l0 \0\xffk8s\n',
      '14 /registry/pods/default/old c3 v3 l0 old@14',
      '15 /registry/events/default/a c15 v1 l3660 event',
      '16 /registry/pods/default/gone c16 v1 l0 gone@16',
      '17 /registry/pods/default/gone c16 v0 l0 ',
      '18 /registry/masterleases/10.0.0.1 c18 v1 l15 master@18',
      '19 /registry/pods/default/gone c19 v1 l0 gone@19',
      '20 /registry/pods/default/gone c19 v2 l0 gone@20',
      '21 /registry/masterleases/10.0.0.1 c18 v2 l15 master@21',
      '23 gap-23 c0 v0 l0 ',
    ])
    const left = leases.map(({ id, ttlSeconds, remainingMs }) => [id, ttlSeconds, Math.ceil(remainingMs / 5000) * 5])
    assert.deepEqual(left.toSorted(), [
      [15, 15, 15],
      [3660, 3660, 3660],
    ])
  })

  it('serves it like any store, watches from before the import included', async () => {
    await writeUpstream()
    await using server = await startKine(dir)
    const client = server.connect()
    const { header, kvs } = await client.call('KV/Range', prefixRange('/registry/pods/'))
    assert.equal(header.revision, 23)
    assert.deepEqual(
      kvs.map(({ key, mod_revision }) => [String(key), mod_revision]),
      [
        ['/registry/pods/default/gone', 20],
        ['/registry/pods/default/old', 14],
        ['/registry/pods/default/steady', 11],
      ],
    )
    const watch = client.stream('Watch/Watch')
    watch.write({ create_request: { ...prefixRange('/registry/pods/'), start_revision: 14, prev_kv: true } })
    assert.ok((await watch.next()).created)
    const { events } = await watch.next()
    assert.deepEqual(
      events.map(({ kv, prev_kv }) => [kv.mod_revision, String(prev_kv?.value ?? '')]),
      [
        [14, 'old@9'],
        [16, ''],
        [17, 'gone@16'],
        [19, ''],
        [20, 'gone@19'],
      ],
    )
    watch.cancel()
    await assert.rejects(client.range('/registry/health', { revision: 11 }), /compacted/)
    const put = await client.put('/registry/pods/default/new', 'x')
    assert.equal(put.header.revision, 24)
  })

  it('goes on where a killed import was, and leaves the table as it is', async () => {
    await writeUpstream()
    const killed = await openDialect()
    const state = await killed.open()
    assert.equal(state.compactRevision, IMPORT_PENDING)
    const writer = new LogWriter(killed, state, IMPORT_PENDING)
    const first = { revision: 2, createRevision: 2, version: 1, lease: 0, value: Buffer.from('{"health":"true"}') }
    await writer.write([{ ...first, key: Buffer.from('/registry/health') }])
    await killed.close()
    const dialect = await openDialect()
    assert.equal((await openImported({ dialect, log: silentLogger })).revision, 23)
    assert.equal((await Array.fromAsync(readChanges(dialect, 0, 1000))).flat().length, 12)
    await dialect.close()
    const db = new DatabaseSync(file)
    assert.deepEqual({ ...db.prepare('SELECT count(*) AS rows FROM kine').get() }, { rows: 14 })
    db.close()
  })

  it('reads a file of upstream without changing it', async () => {
    await writeUpstream()
    const before = await readFile(file)
    const dialect = await openDialect(true)
    assert.equal((await dialect.open()).compactRevision, IMPORT_PENDING)
    assert.equal((await dialect.readUpstream(20)).length, 2)
    await dialect.close()
    assert.ok(before.equals(await readFile(file)))
  })

  it('does not serve a store whose migration has not finished', async () => {
    const dialect = await openDialect()
    const writer = new LogWriter(dialect, await dialect.open(), COPY_PENDING)
    const change = { revision: 7, createRevision: 7, version: 1, lease: 0, value: Buffer.alloc(0) }
    assert.ok(await writer.write([{ ...change, key: Buffer.from('a') }]))
    await assert.rejects(openImported({ dialect, log: silentLogger }), /migration that has not finished/)
  })
})

describe('schema of SQLite', function () {
  this.timeout(20_000)

  it('opens a file of every released version', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'kine-schema-'))
    await copyFile(join(here, 'sqlite-v1.db'), join(dir, 'state.db'))
    try {
      await using server = await startKine(dir)
      const client = server.connect()
      const { header, kvs } = await client.range('pods/b')
      assert.deepEqual([header.revision, kvs[0]?.mod_revision, kvs[0]?.version], [7, 5, 2])
      assert.deepEqual((await client.call('Lease/LeaseLeases', {})).leases, [{ ID: 77 }])
      await assert.rejects(client.range('pods/b', { revision: 2 }), /compacted/)
      assert.equal((await client.put('pods/c', 'c')).header.revision, 8)
      await client.put('pods/b', 'newer')
      assert.equal((await client.range('pods/b', { revision: 8 })).kvs[0]?.version, 2)
      const alarm = { memberID: 5, alarm: 'Nospace' }
      await client.call('Maintenance/Alarm', { action: 'Activate', ...alarm })
      assert.deepEqual((await client.call('Maintenance/Alarm', {})).alarms, [alarm])
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
