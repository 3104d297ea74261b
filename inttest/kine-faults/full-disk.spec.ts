import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Disk, fill } from '#inttest/common/disk.ts'
import { OWN_SERVERS, report, scratch, SERVER_DISK_MIB } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { checkIntegrity } from '#inttest/kine-faults/sqlite-file.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { TEXTS } from '#pkg/kine/testing/requests.ts'

const NO_SPACE = `8 ${TEXTS.noSpace}`
const FULL_MS = 2_000
/**
 * Large values: whatever space is kept in the database's own files is soon used up. MariaDB ends itself when it cannot undo
 * a value that has pages of its own, and kine waits for it then as after any other end (kill.spec.ts).
 */
const VALUE_BYTES = { sqlite: 16 * 1024, postgres: 16 * 1024, mariadb: 2 * 1024 } as const
const BACK_WITHIN_MS = 20_000

describe('a full disk', function () {
  this.timeout(180_000)

  it('of kine on sqlite: writes are told so, reads and watches go on, and all is well with space again', async () => {
    await using stack = new AsyncDisposableStack()
    const dir = stack.use(await scratch())
    const disk = stack.use(await Disk.make(join(dir.path, 'disk.img'), { mib: 64 }))
    const file = join(disk.path, 'state.db')
    const kine = stack.use(await KineProcess.start({ dir: dir.path, endpoint: `sqlite://${file}` }))
    await fillAndFree(kine, disk, VALUE_BYTES.sqlite)
    await kine.stop()
    checkIntegrity(file)
  })

  for (const { name, start } of OWN_SERVERS) {
    it(`of ${name}: writes are told so, reads and watches go on, and all is well with space again`, async () => {
      await using stack = new AsyncDisposableStack()
      const dir = stack.use(await scratch())
      const disk = stack.use(await Disk.make(join(dir.path, 'disk.img'), { mib: SERVER_DISK_MIB }))
      const server = stack.use(await start({ parent: disk.path }))
      const endpoint = await server.createDatabase()
      const kine = stack.use(await KineProcess.start({ dir: dir.path, endpoint }))
      await fillAndFree(kine, disk, VALUE_BYTES[name])
    })
  }
})

/** Fills the disk under a running kine, looks at it for a while, and makes space. */
async function fillAndFree(kine: KineProcess, disk: Disk, valueBytes: number): Promise<void> {
  const traffic = await Traffic.start(() => kine, { valueBytes })
  try {
    await traffic.untilWritable()
    const ballast = join(disk.path, 'ballast')
    await fill(ballast)
    const filledAt = performance.now()
    await eventually('writes are refused', 60_000, () => {
      assert.ok(traffic.errorsSince(filledAt).includes(NO_SPACE), traffic.errorsSince(filledAt).at(-1) ?? 'no error')
      return Promise.resolve()
    })
    const fullAt = performance.now()
    await sleep(FULL_MS)
    const refused = traffic.errorsSince(fullAt)
    const etcd = kine.connect()
    await etcd.range('f/0')
    const watched = traffic.recorders.map(({ next }) => next)
    await rm(ballast)
    const backMs = await traffic.untilWritable()
    const kinds = [...new Set(traffic.errorsSince(filledAt))]
    report(
      `${await traffic.verify()}; ${String(refused.length)} refused: ${kinds.join(', ')}; back after ${backMs.toFixed(0)} ms`,
    )
    assert.ok(watched.every((next) => next > 1))
    assert.deepEqual(kinds, [NO_SPACE])
    assert.ok(backMs < BACK_WITHIN_MS, `writable ${backMs.toFixed(0)} ms after there is space again`)
    assert.ok(kine.running)
    traffic.health.check()
    assert.equal(traffic.health.failed, 0, 'reads go on')
  } finally {
    await traffic.stop()
  }
}
