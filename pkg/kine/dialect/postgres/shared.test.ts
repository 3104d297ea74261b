import assert from 'node:assert/strict'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import { assertCountsLeasesOn } from '#pkg/kine/testing/counts-leases-on.ts'
import { batchAfter, newRow } from '#pkg/kine/testing/batches.ts'
import { PostgresFixture } from '#pkg/kine/testing/postgres-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

describe('PostgresDialect, shared', function () {
  this.timeout(60_000)
  const on = PostgresFixture.forEach()

  it('lets two instances start together, and the slower one lose the swap', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const [state] = await Promise.all([one.open(), two.open()])
    const results = await Promise.all([
      one.append(batchAfter(state, [newRow(2, 'a')])),
      two.append(batchAfter(state, [newRow(2, 'b')])),
    ])
    assert.deepEqual(results.map(({ committed }) => committed).sort(), [false, true])
    assert.equal((await one.readIndex(undefined)).length, 1)
    const head = await two.shared.head()
    assert.equal(head.revision, 2)
    assert.deepEqual(await one.append(batchAfter({ ...head, compactRevision: 7 }, [newRow(3, 'c')])), {
      committed: false,
    })
  })

  it('keeps others out while the head is locked', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const state = await one.open()
    await two.open()
    const lock = await one.shared.lock()
    assert.deepEqual(lock.head, await two.shared.head())
    const loser = two.append(batchAfter(state, [newRow(2, 'two')]))
    const under = batchAfter(lock.head, [newRow(2, 'one')])
    assert.ok((await one.append(under)).committed)
    assert.deepEqual(await loser, { committed: false })
    await lock[Symbol.asyncDispose]()
    {
      await using abandoned = await two.shared.lock()
      assert.deepEqual(abandoned.head, under.next)
    }
    assert.ok((await one.append(batchAfter(under.next, [newRow(3, 'three')]))).committed)
  })

  it('ends a lock whose holder breaks its batch off', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const state = await one.open()
    await two.open()
    await one.shared.lock()
    await assert.rejects(one.append(batchAfter(state, [newRow(2, 'a'), newRow(2, 'b')])), unavailable)
    assert.ok((await two.append(batchAfter(state, [newRow(2, 'c')]))).committed)
    const retried = await one.append(batchAfter(await one.shared.head(), [newRow(3, 'd')]))
    assert.ok(retried.committed)
  })

  it('tells other instances of leases', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const state = await one.open()
    const big = 2n ** 60n
    const lease = (id: number | bigint) => ({ id, ttlSeconds: 10, remainingMs: 10_000 })
    const granted = batchAfter(state, [], { leases: [lease(7), lease(big)] })
    assert.ok((await one.append(granted)).committed)
    const revoked = batchAfter(granted.next, [], { leases: [lease(7)], revokedLeases: [big] })
    assert.ok((await one.append(revoked)).committed)
    const { leases } = await two.open()
    assert.deepEqual(
      leases.map(({ id, ttlSeconds }) => [id, ttlSeconds]),
      [[7, 10]],
    )
    const remainingMs = leases[0]?.remainingMs ?? 0
    assert.ok(remainingMs > 5_000 && remainingMs <= 10_000)
    const { changes, seq, reset } = await two.shared.leasesAfter(1)
    assert.deepEqual(
      [changes.map(({ id, record }) => [id, record?.ttlSeconds]), seq, reset],
      [
        [
          [7, 10],
          [big, undefined],
        ],
        2,
        false,
      ],
    )
    assert.deepEqual((await two.shared.leasesAfter(2)).changes, [])
    await on.server.query('UPDATE k0s_lease SET expires_at_ms = 0 WHERE revoked', on.database)
    await one.prune(1)
    const again = await two.shared.leasesAfter(1)
    assert.deepEqual([again.changes.map(({ id }) => id), again.reset], [[7], true])
  })

  it('counts a lease on from what was left, whatever the clock of the database says', () => assertCountsLeasesOn(on))

  it('keeps alarms, in a database that knew none too, and tells other instances', async () => {
    const name = on.database
    const one = on.dialectAt(on.url)
    const state = await one.open()
    await on.server.query('DROP TABLE k0s_alarm; UPDATE k0s_meta SET schema_version = 1', name)
    const reading = on.dialectAt(on.url, { readOnly: true })
    assert.deepEqual((await reading.open()).alarms, [])
    const two = on.dialectAt(on.url)
    await two.open()
    assert.match(on.log.lines.join(), /keep alarms/)
    const full = { memberId: 2n ** 62n, alarm: AlarmType.noSpace }
    const corrupt = { memberId: -5, alarm: AlarmType.corrupt }
    const raised = batchAfter(state, [newRow(2, 'a')], {
      alarms: { raised: [full, corrupt], disarmed: [] },
    })
    assert.ok((await one.append(raised)).committed)
    assert.deepEqual(new Set((await two.shared.leasesAfter(0)).alarms), new Set([full, corrupt]))
    const disarmed = batchAfter(raised.next, [], { alarms: { raised: [], disarmed: [corrupt] } })
    assert.ok((await two.append(disarmed)).committed)
    assert.deepEqual((await one.shared.leasesAfter(2)).alarms, [full])
    assert.deepEqual((await on.dialectAt(on.url).open()).alarms, [full])
  })
})
