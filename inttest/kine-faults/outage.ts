import assert from 'node:assert/strict'
import { DATABASES, LONG, report, scratch } from '#inttest/kine-faults/kinds.ts'
import type { DatabaseServer } from '#inttest/kine-faults/kinds.ts'
import { KineProcess } from '#inttest/kine-faults/kine-process.ts'
import { Traffic } from '#inttest/kine-faults/traffic.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

const AWAY_MS = LONG ? 30_000 : 4_000
/** Until a write is refused, also one that was under way when it went: 2 s are promised, and a busy machine takes more. */
const REFUSED_WITHIN_MS = 3_000
const BACK_WITHIN_MS = 10_000
/** Ends while the database is away. */
const LEASE_SECONDS = 2
const LEASE_ID = 77
/** Many who try again and again must not pile up. */
const WRITERS = 32
const GROWTH_MIB = 64
/** Requests that waited for it are slow ones, of which the log has a bounded number of lines. */
const SLOW = /msg="(?:slow database call|apply request took too long)"/
const UNAVAILABLE = /^14 etcdserver: /

/** How a database goes away and comes back. */
export interface Outage {
  readonly name: string
  readonly begin: (database: DatabaseServer) => Promise<void>
  readonly end: (database: DatabaseServer) => Promise<void>
}

/** A test for each database that is away for a while in this way. */
export function describeOutage(outage: Outage): void {
  describe(`a database that ${outage.name} for ${String(AWAY_MS / 1000)} s`, function () {
    this.timeout(180_000)

    for (const { name, server } of DATABASES) {
      it(`${name}: errors at once, nothing lost, one line for each end`, async () => {
        await using dir = await scratch()
        const database = await server()
        await using kine = await KineProcess.start({ dir: dir.path, endpoint: await database.createDatabase() })
        const traffic = await Traffic.start(() => kine, { writers: WRITERS })
        try {
          await survive({ kine, traffic, database, outage })
        } finally {
          await traffic.stop()
        }
      })
    }
  })
}

interface Scene {
  readonly kine: KineProcess
  readonly traffic: Traffic
  readonly database: DatabaseServer
  readonly outage: Outage
}

async function survive({ kine, traffic, database, outage }: Scene): Promise<void> {
  const etcd = kine.connect()
  await etcd.call('Lease/LeaseGrant', { TTL: LEASE_SECONDS, ID: LEASE_ID })
  await traffic.put('leased', { lease: LEASE_ID })
  await traffic.untilWritable()
  const linesBefore = kine.log.length
  const memoryBefore = await kine.memoryMib()
  await outage.begin(database)
  const beganAt = performance.now()
  try {
    await sleep(AWAY_MS)
    checkRefusals(traffic, beganAt)
  } finally {
    await outage.end(database)
  }
  const grownMib = (await kine.memoryMib()) - memoryBefore
  const backMs = await traffic.untilWritable()
  await eventually('the lease has ended', 30_000, () => {
    assert.equal(traffic.deletions('leased'), 1)
    return Promise.resolve()
  })
  const lines = kine.log.slice(linesBefore).filter((line) => !SLOW.test(line))
  report(`${await traffic.verify()}; back after ${backMs.toFixed(0)} ms, ${grownMib.toFixed(0)} MiB more`)
  assert.ok(kine.running)
  assert.ok(backMs < BACK_WITHIN_MS, `writable ${backMs.toFixed(0)} ms after it is back`)
  assert.equal(traffic.deletions('leased'), 1, 'the lease has ended once')
  assert.ok(grownMib < GROWTH_MIB, `${grownMib.toFixed(0)} MiB more after it`)
  assert.deepEqual(lines.map(levelOf), ['warn', 'info'], lines.join('\n'))
  traffic.health.check()
}

/** Every write that was asked for is answered soon, with an error that clients know to mean "try again". */
function checkRefusals(traffic: Traffic, beganAt: number): void {
  const errors = traffic.errorsSince(beganAt)
  assert.ok(errors.length > WRITERS, 'writes fail while it is away')
  for (const error of errors) assert.match(error, UNAVAILABLE)
  const answered = traffic.writes.filter(({ answeredAt }) => answeredAt >= beganAt)
  const slowestMs = Math.max(...answered.map(({ askedAt, answeredAt }) => answeredAt - Math.max(askedAt, beganAt)))
  report(`${String(errors.length)} refused, slowest ${slowestMs.toFixed(0)} ms: ${errors.at(-1) ?? ''}`)
  assert.ok(slowestMs < REFUSED_WITHIN_MS, `an answer took ${slowestMs.toFixed(0)} ms`)
}

function levelOf(line: string): string | undefined {
  return /level=(\w+)/.exec(line)?.[1]
}
