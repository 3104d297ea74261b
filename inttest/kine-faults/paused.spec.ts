import assert from 'node:assert/strict'
import { DATABASES, LONG, report, scratch } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { freezeProcesses } from '#pkg/kine/testing/freeze.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { modIs, put } from '#pkg/kine/testing/requests.ts'
import { watchResuming } from '#pkg/kine/testing/resuming-watch.ts'
import { WatchRecorder } from '#pkg/kine/testing/watch-recorder.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Longer than a database leaves the lock on the head to who holds it. */
const PAUSED_MS = LONG ? 60_000 : 12_000
/** Both write, so that the one that is stopped is likely to hold that lock. */
const BEFORE_MS = 1_500
/** A database lets go of the lock after eight seconds, and looks for such sessions every few. */
const WRITABLE_WITHIN_MS = 30_000
/** Shorter than the pause: the one that stood still takes it for ended. */
const KEPT_SECONDS = 6
const ENDED_SECONDS = 4

describe(`an instance that stands still for ${String(PAUSED_MS / 1000)} s beside another one`, function () {
  this.timeout(300_000)

  for (const { name, server } of DATABASES) {
    it(`holds up nobody on ${name} for long, and does nothing afterwards on what it knew before`, async () => {
      await using dir = await scratch()
      const options = { dir: dir.path, endpoint: await (await server()).createDatabase() }
      await using a = await KineProcess.start(options)
      await using b = await KineProcess.start(options)
      await pauseAndContinue(a, b)
    })
  }
})

async function pauseAndContinue(a: KineProcess, b: KineProcess): Promise<void> {
  const [atA, atB] = [a.connect(), b.connect()]
  const { header } = await atA.range('f/none')
  const scene = { paused: false, turn: 0, over: false }
  const traffic = await Traffic.start(() => ((scene.turn += 1) % 2 === 0 && !scene.paused ? a : b), { writers: 8 })
  const recorder = new WatchRecorder({ from: header.revision + 1, strictHeaders: true })
  // All of this one's streams are of the instance that stands still.
  const watching = watchResuming(
    prefixRange('f/'),
    { connect: () => atA, recorder, random: new Random(1) },
    () => scene.over,
  )
  watching.catch(() => undefined)
  try {
    await atA.call('Lease/LeaseGrant', { ID: 1, TTL: KEPT_SECONDS })
    await atA.call('Lease/LeaseGrant', { ID: 2, TTL: ENDED_SECONDS })
    for (const [id, key] of [
      [1, 'kept'],
      [2, 'ended'],
    ] as const) {
      await traffic.put(key, { lease: id })
    }
    await using renewing = renewals(atB, 1)
    await sleep(BEFORE_MS)
    scene.paused = true
    await freezeProcesses([a.pid], true)
    try {
      const writableMs = await traffic.untilWritable()
      report(`the other one wrote ${writableMs.toFixed(0)} ms after it stopped`)
      assert.ok(writableMs < WRITABLE_WITHIN_MS)
      await traffic.put('late')
      await sleep(PAUSED_MS)
    } finally {
      await freezeProcesses([a.pid], false)
    }
    await answersFromNow(atA, (await atB.range('f/late')).header.revision)
    scene.paused = false
    await sleep(BEFORE_MS)
    await renewing[Symbol.asyncDispose]()
    assert.deepEqual([traffic.deletions('kept'), traffic.deletions('ended')], [0, 1])
    report(await traffic.verify())
    const events = traffic.recorders[0]?.events ?? []
    await eventually('its watch has seen everything', 20_000, () => {
      assert.equal(recorder.events.length, events.length)
      return Promise.resolve()
    })
    assert.deepEqual(recorder.events, events)
    assert.ok(a.running && b.running)
  } finally {
    scene.over = true
    await Promise.all([traffic.stop(), watching])
  }
}

/** What an instance answers as soon as it goes on is not older than what the other one has answered before. */
async function answersFromNow(etcd: EtcdClient, newest: number): Promise<void> {
  const create = { compare: [modIs('f/late', 0)], success: [put('f/late', 'on what it knew before')] }
  const [read, created] = await Promise.all([patiently(() => etcd.range('f/late')), patiently(() => etcd.txn(create))])
  assert.ok(read.header.revision >= newest, `a read at ${String(read.header.revision)} after ${String(newest)}`)
  assert.equal(read.count, 1)
  assert.equal(created.succeeded, false, 'a write on what it knew before')
}

/** It may have lost its connections, and says so. */
async function patiently<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      if ((error as { readonly code?: number }).code !== UNAVAILABLE || tries > 100) throw error
      await sleep(50)
    }
  }
}

const UNAVAILABLE = 14

/** Renews a lease every second. */
function renewals(etcd: EtcdClient, id: number): AsyncDisposable {
  const stream = etcd.stream('Lease/LeaseKeepAlive')
  const scene = { over: false }
  const renewing = (async () => {
    while (!scene.over) {
      stream.write({ ID: id })
      assert.equal((await stream.next(60_000)).TTL, KEPT_SECONDS, 'it was renewed')
      await sleep(1_000)
    }
  })()
  renewing.catch(() => undefined)
  return {
    [Symbol.asyncDispose]: async () => {
      scene.over = true
      await renewing
      stream.cancel()
    },
  }
}
