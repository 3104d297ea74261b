import { basename, join } from 'node:path'
import { must } from '#inttest/common/run.ts'
import { Disk } from '#inttest/common/disk.ts'
import { checkSurvival } from '#inttest/kine-faults/history.ts'
import type { Write } from '#inttest/kine-faults/history.ts'
import { LONG, OWN_SERVERS, report, scratch, SERVER_DISK_MIB } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { checkIntegrity } from '#inttest/kine-faults/sqlite-file.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { messagesUpTo, openWatch } from '#pkg/kine/testing/watching.ts'

const CUTS = LONG ? 30 : 2
const UP_MS = { least: 300, most: 900 }

/**
 * A power cut is a copy of the disk of a running system, taken in one instant: what the file system had not given to its
 * disk is missing in it.
 */
describe('a power cut', function () {
  this.timeout(LONG ? 900_000 : 120_000)

  it('takes no acknowledged write from kine on sqlite', async () => {
    await using stack = new AsyncDisposableStack()
    const dir = stack.use(await scratch())
    const disk = await diskIn(stack, dir.path, 96)
    const endpoint = `sqlite://${join(disk.path, 'state.db')}`
    const kine = stack.use(await KineProcess.start({ dir: dir.path, endpoint }))
    await cutAgainAndAgain(kine, async (cut, acknowledged) => {
      await using found = await Disk.mount(await disk.copyOfNow(`cut-${String(cut)}.img`))
      const file = join(found.path, 'state.db')
      const survivor = await KineProcess.start({ dir: dir.path, endpoint: `sqlite://${file}` })
      try {
        await checkSurvivor(survivor, acknowledged)
      } finally {
        await survivor.stop()
      }
      checkIntegrity(file)
    })
  })

  for (const { name, start } of OWN_SERVERS) {
    it(`takes no acknowledged write from kine on ${name}`, async () => {
      await using stack = new AsyncDisposableStack()
      const dir = stack.use(await scratch())
      const disk = await diskIn(stack, dir.path, SERVER_DISK_MIB)
      const server = stack.use(await start({ fsync: true, parent: disk.path }))
      // The harness makes its data directory without syncing it.
      await must(['sync', '--file-system', disk.path])
      const endpoint = await server.createDatabase()
      const kine = stack.use(await KineProcess.start({ dir: dir.path, endpoint }))
      await cutAgainAndAgain(kine, async (cut, acknowledged) => {
        await using found = await Disk.mount(await disk.copyOfNow(`cut-${String(cut)}.img`))
        await using copy = await server.startCopy(join(found.path, basename(server.dir)))
        await using survivor = await KineProcess.start({ dir: dir.path, endpoint: copy.url(basename(endpoint)) })
        await checkSurvivor(survivor, acknowledged)
      })
    })
  }
})

/** A disk that can be copied in one instant. */
async function diskIn(stack: AsyncDisposableStack, dir: string, mib: number): Promise<Disk> {
  const outer = stack.use(await Disk.make(join(dir, 'outer.img'), { fileSystem: 'xfs', mib: 3 * mib + 300 }))
  return stack.use(await Disk.make(join(outer.path, 'disk.img'), { mib }))
}

/** Lets clients write, and has what is found after a cut checked for what had been acknowledged before it. */
async function cutAgainAndAgain(
  kine: KineProcess,
  check: (cut: number, acknowledged: readonly Write[]) => Promise<void>,
): Promise<void> {
  const traffic = await Traffic.start(() => kine)
  try {
    for (let cut = 1; cut <= CUTS; cut += 1) {
      await sleep(UP_MS.least + Math.random() * (UP_MS.most - UP_MS.least))
      await traffic.untilWritable()
      const { acknowledged } = traffic
      await check(cut, acknowledged)
      report(`cut ${String(cut)}: ${String(acknowledged.length)} acknowledged, all there`)
    }
    report(await traffic.verify())
  } finally {
    await traffic.stop()
  }
}

async function checkSurvivor(survivor: KineProcess, acknowledged: readonly Write[]): Promise<void> {
  const etcd = survivor.connect()
  const { header } = await etcd.range('f/none')
  const watch = await openWatch(etcd, { ...prefixRange('f/'), start_revision: 1 })
  const messages = await messagesUpTo(watch, header.revision)
  watch.cancel()
  checkSurvival(
    messages.flatMap(({ events }) => events),
    acknowledged,
  )
}
