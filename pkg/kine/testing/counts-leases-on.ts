import assert from 'node:assert/strict'
import type { LeaseRecord } from '#pkg/kine/backend.ts'
import { batchAfter, FRESH } from '#pkg/kine/testing/batches.ts'
import type { MysqlFixture } from '#pkg/kine/testing/mysql-fixture.ts'
import type { PostgresFixture } from '#pkg/kine/testing/postgres-fixture.ts'

/** What is left of a lease comes from its last commit, also after a program that kept only when it expires. */
export async function assertCountsLeasesOn(on: MysqlFixture | PostgresFixture): Promise<void> {
  const one = on.dialectAt(on.url)
  await one.open()
  const lease = (id: number, remainingMs: number) => ({ id, ttlSeconds: 600, remainingMs })
  assert.ok((await one.append(batchAfter(FRESH, [], { leases: [lease(1, 600_000), lease(2, 90_000.5)] }))).committed)
  // Long ago by that clock.
  await on.server.query('UPDATE k0s_lease SET expires_at_ms = 0', on.database)
  const left = (records: readonly (LeaseRecord | undefined)[]): unknown =>
    records.map((record) => [record?.id, record?.remainingMs]).sort()
  const atOpening = async (readOnly = false): Promise<unknown> =>
    left((await on.dialectAt(on.url, { readOnly }).open()).leases)
  assert.deepEqual(await atOpening(), [
    [1, 600_000],
    [2, 90_001],
  ])
  const { changes } = await one.shared.leasesAfter(0)
  assert.deepEqual(left(changes.map(({ record }) => record)), [
    [1, 600_000],
    [2, 90_001],
  ])
  // As a program renews it that does not keep what is left.
  await on.server.query('UPDATE k0s_lease SET seq = seq + 1 WHERE id = 2', on.database)
  assert.deepEqual(await atOpening(), [
    [1, 600_000],
    [2, 600_000],
  ])
  await on.server.query('ALTER TABLE k0s_lease DROP COLUMN rest_seq, DROP COLUMN rest_ms', on.database)
  await on.server.query('UPDATE k0s_meta SET schema_version = 2', on.database)
  assert.deepEqual(await atOpening(true), [
    [1, 600_000],
    [2, 600_000],
  ])
  assert.deepEqual(await atOpening(), [
    [1, 600_000],
    [2, 600_000],
  ])
  assert.match(on.log.lines.join(), /count leases by no clock/)
}
