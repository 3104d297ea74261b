import assert from 'node:assert/strict'
import { dialectFor } from '#pkg/kine/dialect/open.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { Store } from '#pkg/kine/store.ts'
import { holdMariadbHead, holdPostgresHead } from '#pkg/kine/testing/held-head.ts'
import { testFiles } from '#pkg/kine/testing/servers.ts'
import { put, query, Sink, watch } from '#pkg/kine/testing/store-requests.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { SHARED_TARGETS } from '#pkg/kine/suite/targets.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const OPTIONS = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000 }
/** Well below the time for which an instance may hold the lock. */
const SOON_MS = 1_500

interface Database {
  readonly endpoint: string
  readonly hold: () => Promise<AsyncDisposable>
  /** Sessions that wait for a lock. */
  readonly waiting: () => Promise<number>
}

const CREATE: Readonly<Record<string, () => Promise<Database>>> = {
  postgres: async () => {
    const server = await DATABASES.postgres()
    const endpoint = await server.createDatabase()
    return {
      endpoint,
      hold: () => holdPostgresHead(server, endpoint),
      waiting: async () => Number((await server.query('SELECT count(*) FROM pg_locks WHERE NOT granted'))[0]?.[0]),
    }
  },
  mariadb: async () => {
    const server = await DATABASES.mariadb()
    const endpoint = await server.createDatabase()
    const waiting = "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_current_waits'"
    return {
      endpoint,
      hold: () => holdMariadbHead(server, endpoint),
      waiting: async () => Number((await server.query(waiting))[0]?.[1]),
    }
  },
}

for (const { name } of SHARED_TARGETS) {
  describe(`two stores on one ${name} whose head is locked`, () => {
    let database: Database
    const cleanup = new AsyncDisposableStack()

    const open = async (): Promise<Store> => {
      const onFailure = (error: unknown): void => assert.fail(String(error))
      const deps = { log: silentLogger, onFailure, files: await testFiles() }
      const dialect = await dialectFor(parseEndpoint(database.endpoint), {}, deps)
      return cleanup.adopt(await Store.open(OPTIONS, { ...deps, dialect }), (store) => store.close())
    }

    before(async () => {
      database = (await CREATE[name]?.()) ?? assert.fail(name)
    })
    after(() => cleanup.disposeAsync())

    it('read what was committed before, although a commit of their own waits for the lock', async () => {
      const [a, b] = [await open(), await open()]
      const queued = async (sessions: number): Promise<void> => {
        for (let tries = 0; (await database.waiting()) < sessions; tries += 1) {
          assert.ok(tries < 200, `${sessions} sessions never wait`)
          await sleep(20)
        }
      }
      const sink = new Sink()
      watch(b.hub.open(sink), '\0', '')
      const held = await database.hold()
      const first = a.txn(put('x', 'a'))
      await queued(1)
      const holdingAgain = database.hold()
      await queued(2)
      const blocked = b.txn(put('x', 'b'))
      await queued(3)
      await held[Symbol.asyncDispose]()
      const { revision } = (await first).value
      {
        await using again = await holdingAgain
        assert.ok(again)
        const askedAt = performance.now()
        const { value } = await b.range(query('x'))
        assert.deepEqual([value.revision, value.versions[0]?.modRevision], [revision, revision])
        while (sink.lines.length === 0 && performance.now() - askedAt < SOON_MS) await sleep(5)
        assert.ok(performance.now() - askedAt < SOON_MS, `${performance.now() - askedAt} ms`)
        assert.deepEqual(sink.lines, [`${revision} x=a`])
        assert.equal(await Promise.race([blocked, Promise.resolve('still blocked')]), 'still blocked')
      }
      assert.equal((await blocked).value.revision, revision + 1)
    })
  })
}
