import { strict as assert } from 'node:assert'
import { cp, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { migrate } from '#pkg/datastore/migrate.ts'
import { fill, see } from '#pkg/datastore/testing/fill.ts'
import { fingerprint } from '#pkg/datastore/testing/fingerprint.ts'
import { killMigrationAfter, killMigrationAt } from '#pkg/datastore/testing/killed-migration.ts'
import { runMigration, source, target } from '#pkg/datastore/testing/migration.ts'
import { startEtcd } from '#pkg/kine/testing/etcd-server.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'

describe('migration between SQLite and etcd', function () {
  this.timeout(120_000)
  let dir: string
  const at = (name: string): string => join(dir, name)
  const sqlite = (name: string): string => `sqlite://${at(name)}/state.db`
  const etcd = (name: string): string => `etcd://${at(name)}`

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'datastore-'))
  })

  afterEach(async () => {
    await rm(dir, { recursive: true, force: true })
  })

  const fillKine = async (name: string, changes = 300): Promise<unknown> => {
    await using server = await startKine(at(name))
    const client = server.connect()
    await fill(client, changes)
    return await see(client)
  }

  const seeKine = async (name: string): Promise<unknown> => {
    await using server = await startKine(at(name))
    return await see(server.connect())
  }

  const seeEtcd = async (name: string): Promise<unknown> => {
    await using server = await startEtcd(at(name))
    return await see(server.connect())
  }

  it('gives etcd the same store, and kine the same again', async () => {
    const seen = await fillKine('a')
    const summary = await runMigration(sqlite('a'), etcd('b'))
    assert.equal(summary.outcome, 'migrated')
    assert.equal(summary.copied, summary.changes)
    assert.equal(summary.leases, 2)
    await cp(at('b'), at('b-untouched'), { recursive: true })
    assert.deepEqual(await seeEtcd('b'), seen)
    const back = await runMigration(etcd('b-untouched'), sqlite('c'))
    assert.equal(back.sha256, summary.sha256)
    assert.deepEqual(await seeKine('c'), seen)
  })

  it('reads an etcd that was killed, from a copy, and leaves its directory as it is', async () => {
    const server = await startEtcd(at('a'))
    await fill(server.connect(), 100)
    const seen = await see(server.connect())
    await server.stop()
    const before = await fingerprint(at('a'))
    await runMigration(etcd('a'), sqlite('b'))
    assert.deepEqual(await fingerprint(at('a')), before)
    assert.deepEqual(await seeKine('b'), seen)
  })

  it('reads a running etcd, and notices when it is written to', async () => {
    await using server = await startEtcd(at('a'))
    const client = server.connect()
    await fill(client, 50)
    const url = `http://${server.address}`
    const seen = await see(client)
    await runMigration(url, sqlite('b'))
    assert.deepEqual(await seeKine('b'), seen)
    await using from = await source(url)
    await from.confirmUnchanged()
    await client.put('late', 'x')
    await assert.rejects(from.confirmUnchanged(), /has been written to during the migration/)
  })

  it('takes one of the clusters that share an etcd, by its key prefix, and refuses without it', async () => {
    await using server = await startEtcd(at('a'))
    const client = server.connect()
    const put = async (key: string): Promise<number> => (await client.put(key, key)).header.revision
    const first = await put('/one/pods/a')
    await put('/two/pods/a')
    const last = await put('/one/pods/b')
    await client.remove('/one/pods/a')
    await put('/two/pods/b')
    const { header } = await client.range('x')
    const url = `http://${server.address}`
    for (const prefix of [undefined, 'three', 'on']) {
      await assert.rejects(source(url, prefix), /has no key below .*--from-etcd-prefix/)
    }
    await runMigration(url, sqlite('b'), () => undefined, 'one')
    await runMigration(sqlite('b'), etcd('c'))
    await runMigration(url, etcd('d'), () => undefined, '/one/')
    await using kine = await startKine(at('b'))
    for (const store of [kine, await startEtcd(at('c')), await startEtcd(at('d'))]) {
      const moved = store.connect()
      const now = await moved.call('KV/Range', everything)
      assert.deepEqual(
        now.kvs.map(({ key, value, mod_revision: at }) => [String(key), String(value), at]),
        [['/registry/pods/b', '/one/pods/b', last]],
      )
      assert.equal(now.header.revision, header.revision)
      const then = await moved.call('KV/Range', { ...everything, revision: first })
      assert.deepEqual(
        then.kvs.map(({ key }) => String(key)),
        ['/registry/pods/a'],
      )
      await store.stop()
    }
  })

  it('leaves the file of SQLite as it is, and keeps kine from it meanwhile', async () => {
    await fillKine('a', 20)
    const before = await readFile(at('a/state.db'))
    const from = await source(sqlite('a'))
    await assert.rejects(startKine(at('a')), /in use by another process/)
    await from[Symbol.asyncDispose]()
    await runMigration(sqlite('a'), sqlite('b'))
    assert.ok(before.equals(await readFile(at('a/state.db'))))
    assert.deepEqual(await readdir(at('a')), ['state.db', 'state.db.lock'])
  })

  for (const to of ['sqlite', 'etcd'] as const) {
    const address = (): string => (to === 'etcd' ? etcd('b') : sqlite('b'))

    /** Finishes the migration that was broken off: the target is the store, and nothing is left beside it. */
    const finish = async (seen: unknown): Promise<void> => {
      const summary = await runMigration(sqlite('a'), address())
      assert.ok(summary.copied <= summary.changes)
      assert.deepEqual(to === 'etcd' ? await seeEtcd('b') : await seeKine('b'), seen)
      const left = (await readdir(dir)).filter((name) => name.includes('k0s-migration'))
      assert.deepEqual(left, [])
    }

    it(`goes on after kill -9 at each of its steps, to ${to}`, async () => {
      const seen = await fillKine('a', 1000)
      for (const [phase, percent] of [
        ['copying', 0],
        ['copying', 100],
        ['verifying', 0],
        ['verifying', 100],
      ] as const) {
        await killMigrationAt(phase, percent, sqlite('a'), address())
        if (to === 'sqlite') await assert.rejects(startKine(at('b')), /migration that has not finished/)
      }
      await finish(seen)
    })

    it(`goes on after kill -9 at any moment, to ${to}`, async () => {
      const seen = await fillKine('a', 1000)
      let killed = 0
      for (let delayMs = 0; killed < 3; delayMs += 40) {
        if (!(await killMigrationAfter(delayMs, sqlite('a'), address()))) break
        killed += 1
      }
      assert.ok(killed > 0, 'it was never killed')
      await finish(seen)
    })
  }

  it('finds a value that was changed on the way, and gives out no store then', async () => {
    await fillKine('a', 50)
    await using opened = new AsyncDisposableStack()
    const [from, to] = [opened.use(await source(sqlite('a'))), opened.use(await target(sqlite('b')))]
    const write = to.write.bind(to)
    to.write = (changes) =>
      write(changes.map((change, i) => (i === 9 ? { ...change, value: Buffer.from('changed') } : change)))
    const names = { sourceName: 'a', targetName: 'b' }
    const deps = { signal: new AbortController().signal, onProgress: () => undefined }
    await assert.rejects(migrate({ ...names, source: from, target: to }, deps), /the values differ; empty the target/)
    await opened.disposeAsync()
    await assert.rejects(startKine(at('b')), /migration that has not finished/)
  })

  it('verifies a finished one again, and refuses a target with something else', async () => {
    await fillKine('a', 50)
    await fillKine('c', 10)
    for (const to of [sqlite('b'), etcd('d')]) {
      await runMigration(sqlite('a'), to)
      assert.equal((await runMigration(sqlite('a'), to)).outcome, 'present')
      await assert.rejects(runMigration(sqlite('c'), to), /holds a store at revision 5\d: migrate to an empty one/)
    }
  })

  it('refuses what is in use, missing or no datastore', async () => {
    await fillKine('a', 10)
    await using kine = await startKine(at('b'))
    assert.ok(kine.address)
    await assert.rejects(runMigration(sqlite('b'), sqlite('c')), /in use by/)
    await assert.rejects(runMigration(sqlite('a'), sqlite('b')), /in use by another process/)
    await using server = await startEtcd(at('e'))
    assert.ok(server.address)
    await assert.rejects(runMigration(etcd('e'), sqlite('c')), /in use by a running etcd/)
    await assert.rejects(runMigration(sqlite('a'), etcd('e')), /in use by a running etcd/)
    await assert.rejects(runMigration(sqlite('nowhere'), sqlite('c')), /there is no such file/)
    await assert.rejects(runMigration(etcd('nowhere'), sqlite('c')), /no such file/)
    await assert.rejects(runMigration(sqlite('a'), 'http://127.0.0.1:1'), /write a data directory/)
    await assert.rejects(runMigration('mongo://x:secret@y', sqlite('c')), (error: Error) => {
      assert.match(error.message, /^--from mongo:\/\/x:\*\*\*@y: mongo is not supported/)
      return true
    })
  })
})

const everything = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
