import assert from 'node:assert/strict'
import { Clock } from '#inttest/kine-faults/clock.ts'
import { OWN_SERVERS, report, scratch } from '#inttest/kine-faults/kinds.ts'
import type { DatabaseServer } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** Of the lease that must still be there at the end. */
const LONG_SECONDS = 3600
/** Of the lease that must not have ended early, nor stay. */
const SHORT_SECONDS = 8
/** Ends every lease for who believes it. */
const STEP_SECONDS = 2 * LONG_SECONDS
const LATE_MS = 10_000

describe('a step of the clock of a database', function () {
  this.timeout(120_000)

  for (const { name, start } of OWN_SERVERS) {
    for (const step of [STEP_SECONDS, -STEP_SECONDS]) {
      it(`by ${String(step)} s on ${name}: an instance that starts then ends no lease early`, async () => {
        await using dir = await scratch()
        const clock = await Clock.at(dir.path)
        await using server = await start({ parent: dir.path, env: clock.env })
        const options = { dir: dir.path, endpoint: await server.createDatabase() }
        await using first = await KineProcess.start(options)
        const renewedAt = await makeLeases(first.connect())

        const before = await databaseClock(server)
        await clock.step(step)
        const steppedSeconds = (await databaseClock(server)) - before
        assert.ok(Math.abs(steppedSeconds - step) < 60, `the clock was stepped by ${steppedSeconds.toFixed(0)} s`)
        // It reads the leases under the new clock, and is alone with them from then on.
        await using second = await KineProcess.start(options)
        const etcd = second.connect()
        const { TTL: seenBeside } = await etcd.call('Lease/LeaseTimeToLive', { ID: 1 })
        await first.kill()
        await eventually('the short lease has ended', SHORT_SECONDS * 1000 + LATE_MS, async () => {
          assert.equal((await etcd.range('short')).count, 0)
        })
        const endedMs = performance.now() - renewedAt
        assert.ok(endedMs >= SHORT_SECONDS * 1000, `after ${endedMs.toFixed(0)} ms`)
        await second.kill()
        await sleep(1_000)
        await using third = await KineProcess.start(options)
        const { TTL: left, keys } = await third.connect().call('Lease/LeaseTimeToLive', { ID: 1, keys: true })
        report(`ended after ${endedMs.toFixed(0)} ms; ${String(seenBeside)} and ${String(left)} s left of the long one`)
        for (const seconds of [seenBeside, left]) assert.ok(seconds > LONG_SECONDS - 60 && seconds <= LONG_SECONDS)
        assert.deepEqual(keys.map(String), ['long'])
      })
    }
  }
})

/** A lease with a key each; tells when the short one was renewed last. */
async function makeLeases(etcd: EtcdClient): Promise<number> {
  await etcd.call('Lease/LeaseGrant', { ID: 1, TTL: LONG_SECONDS })
  await etcd.put('long', 'x', { lease: 1 })
  await etcd.call('Lease/LeaseGrant', { ID: 2, TTL: SHORT_SECONDS })
  await etcd.put('short', 'x', { lease: 2 })
  await sleep(1_000)
  const renewing = etcd.stream('Lease/LeaseKeepAlive')
  const renewedAt = performance.now()
  renewing.write({ ID: 2 })
  assert.equal((await renewing.next()).TTL, SHORT_SECONDS)
  renewing.cancel()
  return renewedAt
}

/** Seconds since the epoch, as the server has it. */
async function databaseClock(server: DatabaseServer): Promise<number> {
  const now = server instanceof PostgresServer ? 'extract(epoch FROM clock_timestamp())' : 'UNIX_TIMESTAMP()'
  const [row] = await server.query(`SELECT ${now}`)
  return Number(row?.[0])
}
