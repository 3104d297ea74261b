import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { LeaseRecord } from '#pkg/kine/backend.ts'
import { SqliteDialect } from '#pkg/kine/dialect/sqlite/sqlite.ts'
import { batchAfter, FRESH } from '#pkg/kine/testing/batches.ts'
import { testFiles } from '#pkg/kine/testing/servers.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

describe('leases in SQLite', function () {
  this.timeout(20_000)
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-lease-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  const atOpening = async (append: readonly LeaseRecord[] = [], worker?: string): Promise<readonly LeaseRecord[]> => {
    const files = (await testFiles()).sqlite
    const dialect = new SqliteDialect(
      { file: join(dir, 'state.db'), files: { ...files, ...(worker !== undefined && { worker }) } },
      { onFailure: (error) => assert.fail(error) },
    )
    const { leases } = await dialect.open()
    if (append.length > 0) await dialect.append(batchAfter(FRESH, [], { leases: append }))
    await dialect.close()
    return leases
  }

  it('go on over a restart, and have their full time again on another boot', async () => {
    await atOpening([{ id: 7, ttlSeconds: 600, remainingMs: 300_000 }])
    await sleep(50)
    const [kept] = await atOpening()
    assert.ok(
      kept !== undefined && kept.remainingMs <= 299_950 && kept.remainingMs > 200_000,
      kept?.remainingMs.toString(),
    )
    const db = new DatabaseSync(join(dir, 'state.db'))
    db.exec("UPDATE meta SET value = value + 1 WHERE name = 'lease_boot'")
    db.close()
    const [whole] = await atOpening()
    assert.ok(whole !== undefined && whole.remainingMs > 599_000 && whole.remainingMs <= 600_000)
    const [again] = await atOpening()
    assert.ok(again !== undefined && again.remainingMs < whole.remainingMs)
  })

  it('do not end early when the wall clock is set forward while kine is stopped', async () => {
    await atOpening([{ id: 7, ttlSeconds: 600, remainingMs: 600_000 }])
    const { worker } = (await testFiles()).sqlite
    const ahead = join(dir, 'worker.mjs')
    await writeFile(ahead, `const { now } = Date; Date.now = () => now() + 3_600_000; await import('${worker}')`)
    const [lease] = await atOpening([], ahead)
    assert.ok(lease !== undefined && lease.remainingMs > 500_000, String(lease?.remainingMs))
  })
})
