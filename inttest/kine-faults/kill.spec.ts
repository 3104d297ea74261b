import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DATABASES, LONG, report, scratch } from '#inttest/kine-faults/kinds.ts'
import type { DatabaseServer } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { checkIntegrity } from '#inttest/kine-faults/sqlite-file.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

const ROUNDS = LONG ? 20 : 2
/** Between two kills, at random. */
const UP_MS = { least: 300, most: 1_000 }
const UNAVAILABLE = /^14 etcdserver: /

describe('kill -9 under writers and watchers that resume', function () {
  this.timeout(LONG ? 900_000 : 120_000)

  it('of kine on sqlite', async () => {
    await using dir = await scratch()
    const file = join(dir.path, 'state.db')
    await killKine({ dir: dir.path, endpoint: `sqlite://${file}` })
    checkIntegrity(file)
  })

  for (const { name, server } of DATABASES) {
    it(`of kine on ${name}`, async () => {
      await using dir = await scratch()
      await killKine({ dir: dir.path, endpoint: await (await server()).createDatabase() })
    })

    it(`of ${name}: kine stays, says that it is away, and goes on`, async () => {
      await using dir = await scratch()
      const database = await server()
      await using kine = await KineProcess.start({ dir: dir.path, endpoint: await database.createDatabase() })
      const traffic = await Traffic.start(() => kine)
      try {
        for (let round = 0; round < ROUNDS; round += 1) {
          await upTime()
          const killedAt = performance.now()
          await killFor(database, 500)
          await traffic.untilWritable()
          const errors = traffic.errorsSince(killedAt)
          assert.ok(errors.length > 0, 'writes fail while it is away')
          for (const error of errors) assert.match(error, UNAVAILABLE)
        }
        report(await traffic.verify())
        traffic.health.check()
        assert.ok(kine.running)
      } finally {
        await traffic.stop()
      }
    })

    it(`of kine and ${name} at once; kine waits for it`, async () => {
      await using dir = await scratch()
      const database = await server()
      const options = { dir: dir.path, endpoint: await database.createDatabase() }
      await using kines = new Kines()
      kines.now = await KineProcess.start(options)
      const traffic = await Traffic.start(() => kines.now)
      try {
        for (let round = 0; round < ROUNDS; round += 1) {
          await upTime()
          await Promise.all([database.kill(), kines.now.kill()])
          kines.now = KineProcess.launch(options)
          const ready = kines.now.ready()
          await sleep(500)
          await database.start()
          await ready
        }
        report(await traffic.verify())
      } finally {
        await traffic.stop()
      }
    })
  }
})

/** The one that runs. */
class Kines implements AsyncDisposable {
  #now: KineProcess | undefined

  get now(): KineProcess {
    if (this.#now === undefined) throw new Error('none was started')
    return this.#now
  }

  set now(kine: KineProcess) {
    this.#now = kine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#now?.kill()
  }
}

/** Kills and starts it again and again. */
async function killKine(options: { readonly dir: string; readonly endpoint: string }): Promise<void> {
  await using kines = new Kines()
  kines.now = await KineProcess.start(options)
  const traffic = await Traffic.start(() => kines.now)
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      await upTime()
      await kines.now.kill()
      kines.now = await KineProcess.start(options)
    }
    report(await traffic.verify())
    await kines.now.stop()
  } finally {
    await traffic.stop()
  }
}

async function killFor(database: DatabaseServer, awayMs: number): Promise<void> {
  await database.kill()
  try {
    await sleep(awayMs)
  } finally {
    await database.start()
  }
}

function upTime(): Promise<void> {
  return sleep(UP_MS.least + Math.random() * (UP_MS.most - UP_MS.least))
}
