import assert from 'node:assert/strict'
import { MysqlDialect } from '#pkg/kine/dialect/mysql/mysql.ts'
import { PostgresDialect } from '#pkg/kine/dialect/postgres/postgres.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Observation } from '#pkg/kine/metrics/observation.ts'
import { Store } from '#pkg/kine/store.ts'
import { MemoryDatabase } from '#pkg/kine/testing/memory-database.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const POOL = { maxOpen: 4, maxIdle: 4, maxIdleMs: 60_000, maxLifetimeMs: 0 }
const SLOW_MS = 5

describe('log of an outage', () => {
  let warnings: string[]
  const log = { ...silentLogger, warn: (message: string): void => void warnings.push(message) }

  beforeEach(() => {
    warnings = []
  })

  it('has one warning for a store that waits for its database at the start', async () => {
    const postgres = parseEndpoint('postgres://u:p@127.0.0.1:1/db')
    const mysql = parseEndpoint('mysql://u:p@tcp(127.0.0.1:1)/db')
    assert.ok(postgres.type === 'postgres' && mysql.type === 'mysql')
    for (const dialect of [
      new PostgresDialect({ endpoint: postgres, pool: POOL }, { log }),
      new MysqlDialect({ endpoint: mysql, pool: POOL }, { log }),
    ]) {
      warnings = []
      const options = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000 }
      const onFailure = (error: unknown): void => assert.fail(String(error))
      await assert.rejects(Store.open(options, { dialect, log, onFailure, signal: AbortSignal.timeout(400) }))
      await dialect.close()
      assert.deepEqual(warnings, ['the database is away'])
    }
  })

  it('has no slow call or request that was refused because the database is away', async () => {
    const observation = new Observation({ slowMs: SLOW_MS, quotaBytes: 0 }, log)
    const slowly = new MemoryDialect(new MemoryDatabase())
    const dialect = observation.aroundDialect(slowly)
    slowly.beforeRead = async () => {
      await sleep(4 * SLOW_MS)
      throw new StoreError('unavailable')
    }
    await assert.rejects(dialect.readValues([1]))
    const { onHandled } = observation.aroundMethods({ unary: new Map(), streams: new Map() })
    onHandled({ path: '/etcdserverpb.KV/Put', code: 14, durationMs: 2000, requestBytes: 1 })
    assert.deepEqual(warnings, [])
    slowly.beforeRead = () => sleep(4 * SLOW_MS)
    await dialect.readValues([1])
    onHandled({ path: '/etcdserverpb.KV/Put', code: 0, durationMs: 2000, requestBytes: 1 })
    assert.deepEqual(warnings, ['slow database call', 'apply request took too long'])
  })
})
