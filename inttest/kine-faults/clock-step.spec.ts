import assert from 'node:assert/strict'
import { join } from 'node:path'
import { AHEAD_SECONDS, Clock } from '#inttest/kine-faults/clock.ts'
import { DATABASES, LONG, report, scratch } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Of the lease that must neither end early nor stay. */
const LEASE_SECONDS = 6
/** Beyond every step: it must not have ended at the end of the test. */
const LONG_LEASE_SECONDS = 3600
const STEP_SECONDS = 60
/** etcd's lessor looks twice a second; the machine may be busy. */
const LATE_MS = 10_000

/** A database server has a clock of its own, by which kine goes at its start only. */
const STORES = ['sqlite', ...(LONG ? DATABASES.map(({ name }) => name) : [])]

describe('a step of the clock', function () {
  this.timeout(120_000)

  for (const name of STORES) {
    for (const step of [STEP_SECONDS, -STEP_SECONDS]) {
      it(`by ${String(step)} s, and back, of kine on ${name}: leases end when they would have`, async () => {
        await using dir = await scratch()
        const database = await DATABASES.find((each) => each.name === name)?.server()
        const endpoint = (await database?.createDatabase()) ?? `sqlite://${join(dir.path, 'state.db')}`
        const clock = await Clock.at(dir.path)
        await using kine = await KineProcess.start({ dir: dir.path, endpoint, env: clock.env })
        const traffic = await Traffic.start(() => kine)
        try {
          await stepAndBack(kine, traffic, { clock, step })
        } finally {
          await traffic.stop()
        }
      })
    }
  }
})

async function stepAndBack(
  kine: KineProcess,
  traffic: Traffic,
  { clock, step }: { readonly clock: Clock; readonly step: number },
): Promise<void> {
  assert.ok(
    Math.abs(loggedAt(kine.log.at(-1)) - Date.now() - AHEAD_SECONDS * 1000) < 60_000,
    'its clock is another one',
  )
  const etcd = kine.connect()
  /** A key with a lease; tells when the lease was asked for. */
  const lease = async (id: number, name: string, seconds: number): Promise<number> => {
    const askedAt = performance.now()
    await etcd.call('Lease/LeaseGrant', { ID: id, TTL: seconds })
    await traffic.put(name, { lease: id })
    return askedAt
  }
  await lease(1, 'long', LONG_LEASE_SECONDS)
  const before = await lease(2, 'before', LEASE_SECONDS)
  await clock.step(step)
  await traffic.untilWritable()
  const between = await lease(3, 'between', LEASE_SECONDS)
  await sleep((LEASE_SECONDS * 1000) / 2)
  await clock.step(0)
  await traffic.untilWritable()
  const late = [await lateness(traffic, 'before', before), await lateness(traffic, 'between', between)]
  assert.equal(traffic.deletions('long'), 0)
  const { TTL: left } = await etcd.call('Lease/LeaseTimeToLive', { ID: 1 })
  assert.ok(left > LONG_LEASE_SECONDS - STEP_SECONDS && left < LONG_LEASE_SECONDS, `${String(left)} s left`)
  report(`${await traffic.verify()}; ended ${Math.max(...late).toFixed(0)} ms late at most`)
  assert.deepEqual(traffic.errorsSince(0), [])
  traffic.health.check()
}

/** Milliseconds by which a key that goes with its lease has outlived it. */
async function lateness(traffic: Traffic, name: string, since: number): Promise<number> {
  await eventually(`${name} is gone`, LEASE_SECONDS * 1000 + LATE_MS, () => {
    assert.equal(traffic.deletions(name), 1)
    return Promise.resolve()
  })
  const lateMs = performance.now() - since - LEASE_SECONDS * 1000
  assert.ok(lateMs >= 0, `${name} went ${(-lateMs).toFixed(0)} ms early`)
  return lateMs
}

function loggedAt(line = ''): number {
  return Date.parse(/time=(\S+)/.exec(line)?.[1] ?? '')
}
