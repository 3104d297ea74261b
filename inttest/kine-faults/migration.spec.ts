import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readFile, rm, stat, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { Disk, fill } from '#inttest/common/disk.ts'
import { OWN_SERVERS, report, scratch, SERVER_DISK_MIB } from '#inttest/kine-faults/kinds.ts'
import type { DatabaseServer } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { runMigration } from '#pkg/datastore/testing/migration.ts'

const KEYS = 12_000
const KEYS_PER_REVISION = 100
const VALUE_BYTES = 2 * 1024
const FILE_DISK_MIB = 160
/** Room for a part of what is to be migrated. */
const LEFT_BYTES = 10 * 1024 * 1024
/** What is said, in one line, and what to do; MariaDB may end itself instead (full-disk.spec.ts). */
const FULL = /(?:no space left; make room|disk full; free some space).* and run the same command again$/
const FULL_OR_GONE = new RegExp(`${FULL.source}|see that it is up and run the same command again$`)

/** Where a store is migrated to: on a disk of its own. */
interface Place {
  readonly address: string
  readonly server?: DatabaseServer
}

describe('a full disk at the target of a migration', function () {
  this.timeout(300_000)

  it('that is SQLite: said in one line, nothing lost, and gone on with', () =>
    migrateToFullDisk(FILE_DISK_MIB, ({ path }) => Promise.resolve({ address: `sqlite://${join(path, 'state.db')}` })))

  it('that is etcd: the same', () =>
    migrateToFullDisk(FILE_DISK_MIB, ({ path }) => Promise.resolve({ address: `etcd://${join(path, 'etcd')}` })))

  for (const { name, start } of OWN_SERVERS) {
    it(`that is ${name}: the same`, () =>
      migrateToFullDisk(SERVER_DISK_MIB, async (disk, stack) => {
        const server = stack.use(await start({ parent: disk.path }))
        return { address: await server.createDatabase(), server }
      }))
  }
})

async function migrateToFullDisk(
  mib: number,
  placeOn: (disk: Disk, stack: AsyncDisposableStack) => Promise<Place>,
): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const dir = stack.use(await scratch())
  const file = join(dir.path, 'source.db')
  await fillStore(dir.path, `sqlite://${file}`)
  const before = await readFile(file)
  const disk = stack.use(await Disk.make(join(dir.path, 'disk.img'), { mib }))
  const { address, server } = await placeOn(disk, stack)
  const ballast = join(disk.path, 'ballast')
  await fill(ballast)
  await truncate(ballast, (await stat(ballast)).size - LEFT_BYTES)
  const migrate = () => runMigration(`sqlite://${file}`, address)
  const failed = await migrate().then(
    () => assert.fail('there was room enough'),
    (error: unknown) => error as Error,
  )
  assert.match(failed.message, address.startsWith('mysql') ? FULL_OR_GONE : FULL)
  await rm(ballast)
  await server?.restart()
  const { outcome, copied, changes } = await migrate()
  report(`${failed.message}: then ${String(copied)} of ${String(changes)} changes were left`)
  assert.deepEqual([outcome, changes], ['migrated', KEYS])
  assert.ok(before.equals(await readFile(file)), 'the source is as it was')
}

async function fillStore(dir: string, endpoint: string): Promise<void> {
  await using kine = await KineProcess.start({ dir, endpoint })
  const etcd = kine.connect()
  for (let from = 0; from < KEYS; from += KEYS_PER_REVISION) {
    const success = Array.from({ length: KEYS_PER_REVISION }, (_, i) => ({
      request_put: { key: Buffer.from(`/registry/m/${String(from + i)}`), value: randomBytes(VALUE_BYTES) },
    }))
    await etcd.txn({ success })
  }
  await kine.stop()
}
