import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { Head } from '#pkg/kine/dialect/dialect.ts'
import { assertCountsLeasesOn } from '#pkg/kine/testing/counts-leases-on.ts'
import { batchAfter, FRESH, newRow } from '#pkg/kine/testing/batches.ts'
import { MysqlFixture } from '#pkg/kine/testing/mysql-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

describe('MysqlDialect, shared', function () {
  this.timeout(60_000)
  const on = MysqlFixture.forEach()

  it('lets the slower of two commits on one head change nothing, whatever they write', async () => {
    const [one, two] = await on.openTwo()
    const lease = { id: 7, ttlSeconds: 60, remainingMs: 60_000 }
    let head: Head = FRESH
    for (const [revision, mine] of [
      [2, batchAfter(head, [newRow(2, 'a')])],
      [3, batchAfter({ ...head, revision: 2, lastId: 2048 }, [], { leases: [lease] })],
      [3, batchAfter({ ...head, revision: 2, lastId: 2048, leaseSeq: 1 }, [], { compactRevision: 2 })],
    ] as const) {
      const theirs = batchAfter(head, [newRow(revision, 'b')], { leases: [{ ...lease, id: 8 }], revokedLeases: [7] })
      assert.deepEqual(await one.append(mine), { committed: true, previousValues: new Map() })
      head = mine.next
      assert.deepEqual(await two.append(theirs), { committed: false })
      assert.deepEqual(await two.shared.head(), head)
    }
    assert.equal((await two.readIndex(undefined)).length, 1)
    const { changes } = await two.shared.leasesAfter(0)
    assert.deepEqual(
      changes.map(({ id }) => id),
      [7],
    )
  })

  it('keeps others out while the head is locked', async () => {
    const [one, two] = await on.openTwo()
    const lock = await one.shared.lock()
    assert.deepEqual(lock.head, FRESH)
    const loser = two.append(batchAfter(FRESH, [newRow(2, 'two')]))
    const under = batchAfter(lock.head, [newRow(2, 'one')])
    assert.ok((await one.append(under)).committed)
    assert.deepEqual(await loser, { committed: false })
    await lock[Symbol.asyncDispose]()
    {
      await using abandoned = await two.shared.lock()
      assert.deepEqual(abandoned.head, under.next)
    }
    const broken = await one.shared.lock()
    await assert.rejects(one.append(batchAfter(broken.head, [newRow(3, 'x'), newRow(3, 'x')])), unavailable)
    assert.ok((await two.append(batchAfter(under.next, [newRow(3, 'three')]))).committed)
  })

  it('writes with sessions whose transactions end soon after their owner', async () => {
    const [one, two] = await on.openTwo()
    const lock = await one.shared.lock()
    const blocked = two.append(batchAfter(FRESH, [newRow(2, 'two')]))
    // What the server does after eight seconds of silence, at once.
    const rows = await on.server.query(
      `SELECT trx_mysql_thread_id FROM information_schema.innodb_trx WHERE trx_state = 'RUNNING' AND trx_rows_locked > 0`,
    )
    assert.equal(rows.length, 1)
    await on.server.query(`KILL ${String(rows[0]?.[0])}`)
    assert.ok((await blocked).committed)
    await assert.rejects(one.append(batchAfter(lock.head, [newRow(2, 'one')])), unavailable)
    assert.deepEqual(await one.append(batchAfter(FRESH, [newRow(2, 'one')])), { committed: false })
  })

  it('tells other instances of leases', async () => {
    const [one, two] = await on.openTwo()
    const big = 2n ** 60n
    const lease = (id: number | bigint) => ({ id, ttlSeconds: 10, remainingMs: 10_000 })
    const granted = batchAfter(FRESH, [], { leases: [lease(7), lease(big)] })
    await one.append(granted)
    const revoked = batchAfter(granted.next, [], { leases: [lease(7)], revokedLeases: [big] })
    await one.append(revoked)
    const { leases } = await two.open()
    assert.deepEqual(
      leases.map(({ id, ttlSeconds }) => [id, ttlSeconds]),
      [[7, 10]],
    )
    const remainingMs = leases[0]?.remainingMs ?? 0
    assert.ok(remainingMs > 5_000 && remainingMs <= 10_000, String(remainingMs))
    const told = async (seq: number): Promise<unknown> => {
      const { changes, ...rest } = await two.shared.leasesAfter(seq)
      return { ...rest, changes: changes.map(({ id, record }) => [id, record?.ttlSeconds]).sort() }
    }
    const seven = [7, 10]
    assert.deepEqual(await told(0), {
      changes: [[big, undefined], seven],
      seq: 2,
      prunedSeq: 0,
      reset: false,
      alarms: [],
    })
    assert.deepEqual(await told(2), { changes: [], seq: 2, prunedSeq: 0, reset: false, alarms: [] })
    await on.server.query('UPDATE k0s_lease SET expires_at_ms = 0 WHERE revoked', on.database)
    await one.append(batchAfter(revoked.next, [newRow(2, 'a')]))
    await one.prune(1)
    assert.deepEqual(await told(1), { changes: [seven], seq: 2, prunedSeq: 2, reset: true, alarms: [] })
    assert.deepEqual(await told(2), { changes: [], seq: 2, prunedSeq: 2, reset: false, alarms: [] })
  })

  it('counts a lease on from what was left, whatever the clock of the database says', () => assertCountsLeasesOn(on))

  it('keeps alarms, in a database that knew none too, and tells other instances', async () => {
    const one = on.dialectAt(on.url)
    await one.open()
    await on.server.query('DROP TABLE k0s_alarm', on.database)
    await on.server.query('UPDATE k0s_meta SET schema_version = 1', on.database)
    assert.deepEqual((await on.dialectAt(on.url, { readOnly: true }).open()).alarms, [])
    const two = on.dialectAt(on.url)
    await two.open()
    assert.match(on.log.lines.join(), /keep alarms/)
    const full = { memberId: 2n ** 62n, alarm: AlarmType.noSpace }
    const corrupt = { memberId: -5, alarm: AlarmType.corrupt }
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    const raised = {
      ...first,
      next: { ...first.next, leaseSeq: 1 },
      alarms: { raised: [full, corrupt], disarmed: [] },
    }
    assert.ok((await one.append(raised)).committed)
    assert.deepEqual(new Set((await two.shared.leasesAfter(0)).alarms), new Set([full, corrupt]))
    const next = { ...raised.next, leaseSeq: 2 }
    const disarmed = { ...batchAfter(raised.next, []), next, alarms: { raised: [], disarmed: [corrupt] } }
    assert.ok((await two.append(disarmed)).committed)
    assert.deepEqual((await one.shared.leasesAfter(2)).alarms, [full])
    assert.deepEqual((await on.dialectAt(on.url).open()).alarms, [full])
  })
})
