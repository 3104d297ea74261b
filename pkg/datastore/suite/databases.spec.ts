import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fill, see } from '#pkg/datastore/testing/fill.ts'
import { dryRun, runMigration, source } from '#pkg/datastore/testing/migration.ts'
import { startEtcd } from '#pkg/kine/testing/etcd-server.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import type { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import type { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'

const SERVERS = [
  { name: 'PostgreSQL', start: () => DATABASES.postgres() },
  { name: 'MariaDB', start: () => DATABASES.mariadb() },
] as const

for (const { name, start } of SERVERS) {
  describe(`migration to and from ${name}`, function () {
    this.timeout(120_000)
    let server: PostgresServer | MariadbServer
    let dir: string

    before(async () => {
      server = await start()
    })

    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'datastore-'))
    })

    afterEach(async () => {
      await rm(dir, { recursive: true, force: true })
    })

    const seeKine = async (endpoint: string): Promise<unknown> => {
      await using kine = await startKine(dir, { endpoint })
      return await see(kine.connect())
    }

    const fillKine = async (endpoint: string, changes: number): Promise<unknown> => {
      await using kine = await startKine(dir, { endpoint })
      await fill(kine.connect(), changes)
      return await see(kine.connect())
    }

    it('keeps the store through every kind of datastore', async () => {
      const sqlite = (file: string): string => `sqlite://${join(dir, file)}`
      const database = await server.createDatabase()
      const etcd = join(dir, 'etcd')
      const seen = await fillKine(sqlite('a.db'), 200)
      const first = await runMigration(sqlite('a.db'), database)
      const second = await runMigration(database, `etcd://${etcd}`)
      const third = await runMigration(`etcd://${etcd}`, sqlite('b.db'))
      assert.deepEqual([second.sha256, third.sha256], [first.sha256, first.sha256])
      assert.deepEqual(await seeKine(database), seen)
      assert.deepEqual(await seeKine(sqlite('b.db')), seen)
      await using running = await startEtcd(etcd)
      assert.deepEqual(await see(running.connect()), seen)
    })

    it('goes on after kill -9, and gives out no half of a store', async () => {
      const from = `sqlite://${join(dir, 'a.db')}`
      const database = await server.createDatabase()
      const seen = await fillKine(from, 600)
      for (const delayMs of [0, 60]) {
        const child = spawn(process.execPath, [resolve('pkg/datastore/testing/run.ts'), from, database], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
        const exited = once(child, 'exit')
        await createInterface({ input: child.stdout })[Symbol.asyncIterator]().next()
        const kill = setTimeout(() => child.kill('SIGKILL'), delayMs)
        await exited
        clearTimeout(kill)
      }
      await runMigration(from, database)
      assert.deepEqual(await seeKine(database), seen)
    })

    it('refuses at once to read or fill what a kine uses, and changes nothing in it', async () => {
      const database = await server.createDatabase()
      const file = `sqlite://${join(dir, 'a.db')}`
      await fillKine(file, 20)
      await using kine = await startKine(dir, { endpoint: database })
      const client = kine.connect()
      const { header } = await client.put('a', 'a')
      const inUse = /is in use by its user from .*: stop k0s on every controller/
      await assert.rejects(runMigration(database, `sqlite://${join(dir, 'b.db')}`), inUse)
      await assert.rejects(runMigration(file, database), inUse)
      assert.deepEqual((await client.range('a')).header, header)
      await kine.stop()
      await runMigration(database, `sqlite://${join(dir, 'b.db')}`)
    })

    it('notices a kine that is started on the source meanwhile', async () => {
      const database = await server.createDatabase()
      await fillKine(database, 20)
      await using from = await source(database)
      await using kine = await startKine(dir, { endpoint: database })
      await from.confirmUnchanged()
      await kine.connect().put('b', 'b')
      await assert.rejects(from.confirmUnchanged(), /has been written to during the migration/)
    })

    it('says what a migration would do, and makes nothing for it', async () => {
      const from = `sqlite://${join(dir, 'a.db')}`
      await fillKine(from, 50)
      const [database, missing] = [await server.createDatabase(), server.url('not_there')]
      if (name === 'MariaDB') await server.query("GRANT ALL ON not_there.* TO kine@'%'")
      const plans = [await dryRun(from, missing), await dryRun(from, database)]
      assert.deepEqual(
        plans.map(({ target, toCopy, changes }) => [target, toCopy === changes]),
        [
          ['empty', true],
          ['empty', true],
        ],
      )
      await assert.rejects(dryRun(missing, from), /there is no database/)
      await assert.rejects(dryRun(database, from), /is no datastore/)
      const { keys, changes, bytes, leases } = await runMigration(from, database)
      assert.deepEqual(
        [plans[1]?.keys, plans[1]?.changes, plans[1]?.bytes, plans[1]?.leases],
        [keys, changes, bytes, leases],
      )
      const after = await dryRun(database, from)
      assert.deepEqual([after.target, after.toCopy, after.keys, after.bytes], ['complete', 0, keys, bytes])
      assert.equal((await dryRun(from, database)).target, 'complete')
    })

    it('takes no empty database for a store', async () => {
      const database = await server.createDatabase()
      const to = `sqlite://${join(dir, 'b.db')}`
      await assert.rejects(runMigration(database, to), /is no datastore/)
    })
  })
}
