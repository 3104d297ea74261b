import { strict as assert } from 'node:assert'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { renderPlan } from '#pkg/datastore/render.ts'
import { fill, see } from '#pkg/datastore/testing/fill.ts'
import { fingerprint } from '#pkg/datastore/testing/fingerprint.ts'
import { killMigrationAt } from '#pkg/datastore/testing/killed-migration.ts'
import { dryRun, runMigration } from '#pkg/datastore/testing/migration.ts'
import { startEtcd } from '#pkg/kine/testing/etcd-server.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'

describe('dry run of a migration between SQLite and etcd', function () {
  this.timeout(120_000)
  let dir: string
  let seen: unknown
  const at = (name: string): string => join(dir, name)
  const sqlite = (name: string): string => `sqlite://${at(name)}/state.db`
  const etcd = (name: string): string => `etcd://${at(name)}`

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'datastore-'))
    await using server = await startKine(at('a'))
    const client = server.connect()
    await fill(client, 300)
    seen = await see(client)
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  /** Files with data; those of SQLite's locks and its index of the write-ahead log come and go with readers. */
  const data = async (): Promise<readonly string[]> =>
    (await fingerprint(dir)).filter((line) => !/state\.db(-shm|\.lock)/.test(line))

  const seeTarget = async (kind: 'sqlite' | 'etcd'): Promise<unknown> => {
    await using server = await (kind === 'etcd' ? startEtcd(at('b')) : startKine(at('b')))
    return await see(server.connect())
  }

  for (const kind of ['sqlite', 'etcd'] as const) {
    it(`says what a migration to ${kind} would do, before, in the middle and after it, and changes nothing`, async () => {
      const to = kind === 'etcd' ? etcd('b') : sqlite('b')
      const before = await data()
      const empty = await dryRun(sqlite('a'), to)
      assert.deepEqual([empty.target, empty.toCopy], ['empty', empty.changes])
      assert.ok(empty.freeBytes !== undefined && empty.freeBytes > empty.bytes)
      assert.deepEqual(await data(), before)

      await killMigrationAt('copying', 100, sqlite('a'), to)
      const begun = await data()
      const copying = await dryRun(sqlite('a'), to)
      assert.equal(copying.target, 'copying')
      assert.ok(copying.toCopy < copying.changes)
      assert.deepEqual(await data(), begun)

      const summary = await runMigration(sqlite('a'), to)
      const complete = await dryRun(sqlite('a'), to)
      assert.deepEqual([complete.target, complete.toCopy], ['complete', 0])
      for (const plan of [empty, copying, complete]) {
        for (const figure of ['keys', 'changes', 'bytes', 'leases', 'revision', 'compactRevision'] as const) {
          assert.equal(plan[figure], summary[figure], figure)
        }
      }
      assert.deepEqual(await seeTarget(kind), seen)
    })
  }

  it('refuses what a migration would refuse', async () => {
    await using other = await startKine(at('c'))
    await other.connect().put('x', 'x')
    await assert.rejects(dryRun(sqlite('a'), sqlite('c')), /in use by another process/)
    await assert.rejects(dryRun(sqlite('c'), etcd('d')), /in use by another process/)
    await other.stop()
    await assert.rejects(dryRun(sqlite('a'), sqlite('c')), /holds a store at revision 2: migrate to an empty one/)
    await assert.rejects(dryRun(sqlite('a'), sqlite('a')), /are the same datastore/)
    await assert.rejects(dryRun(sqlite('a'), 'http://127.0.0.1:1'), /write a data directory/)
    await mkdir(at('e'))
    await writeFile(at('e/photo'), 'x')
    await assert.rejects(dryRun(sqlite('a'), etcd('e')), /is not empty \(photo\)/)
    await assert.rejects(dryRun(sqlite('a'), `etcd://${at('e/photo')}/etcd`), /it is no directory/)
    await assert.rejects(dryRun(sqlite('nowhere'), etcd('d')), /there is no such file/)
  })

  it('is told to people and to programs', async () => {
    const plan = await dryRun(sqlite('a'), etcd('b'))
    const { keys, changes, leases, revision, compactRevision } = plan
    const text = renderPlan(plan, 'text')
    assert.match(text, /^sqlite:.*state\.db would be copied to etcd:.*, which is empty\.\n/)
    const figures = `${keys} keys in ${changes} changes .*, ${leases} leases, revision ${revision}, compacted at ${compactRevision}`
    assert.match(text, new RegExp(figures))
    assert.match(text, /There is room for .* MiB\.\nNothing was written\.\n$/)
    assert.deepEqual(JSON.parse(renderPlan(plan, 'json')), plan)
    assert.match(renderPlan({ ...plan, target: 'copying', toCopy: 3 }, 'text'), /begun with: the other 3 changes/)
    assert.match(renderPlan({ ...plan, target: 'complete' }, 'text'), /is complete already/)
  })
})
