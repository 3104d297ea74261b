import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import type { Backend, TxnOp, TxnRequest } from '#pkg/kine/backend.ts'
import { ObservedDialect } from '#pkg/kine/dialect/observed-dialect.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { DatabaseMetrics } from '#pkg/kine/metrics/database-metrics.ts'
import { renderFamilies } from '#pkg/kine/metrics/exposition.ts'
import type { Family } from '#pkg/kine/metrics/exposition.ts'
import { GrpcMetrics } from '#pkg/kine/metrics/grpc-metrics.ts'
import { ObservedStore } from '#pkg/kine/metrics/observed-store.ts'
import { processFamilies } from '#pkg/kine/metrics/process-metrics.ts'
import { StoreCounters } from '#pkg/kine/metrics/store-counters.ts'
import { storeFamilies } from '#pkg/kine/metrics/store-families.ts'
import type { Gauges } from '#pkg/kine/metrics/store-families.ts'
import { AlarmType, Alarms } from '#pkg/kine/alarm/alarms.ts'
import { SlowLog } from '#pkg/kine/slow-log.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import type { LogFields } from '#pkg/log/logger.ts'

const GAUGES: Gauges = {
  size: { bytes: 4096, inUseBytes: 2048 },
  memberId: 0xabc,
  revision: 7,
  compactRevision: 3,
  keys: 5,
  watchStreams: 1,
  watchers: 2,
  slowWatchers: 1,
  eventsSent: 9,
  sessions: 3,
  receivedBytes: 100,
  sentBytes: 200,
  ringBytes: 512,
  quotaBytes: 8192,
}

describe('metrics', () => {
  it('have the names, types and texts of the golden file', async () => {
    const counters = new StoreCounters()
    counters.leaseTtls.observe(15)
    const alarms = new Alarms([{ memberId: 0xabc, alarm: AlarmType.noSpace }])
    const database = new DatabaseMetrics()
    database.observe('append', '', 3)
    database.observe('head', 'unavailable', 1500)
    database.observeCommit(9000)
    const grpc = new GrpcMetrics(['/etcdserverpb.KV/Put'], ['/etcdserverpb.Watch/Watch'])
    grpc.started('/etcdserverpb.KV/Put')
    grpc.handled('/etcdserverpb.KV/Put', 0, 2)
    grpc.handled('/etcdserverpb.Watch/Watch', 14, 2)
    grpc.handled('/made/up', 12, 2)
    const families = [...storeFamilies(GAUGES, counters, alarms), ...database.families(), ...grpc.families()]
    await assertGolden('metrics.txt', renderFamilies(families))
  })

  it('tell of an outage, and leave out what is not known then', () => {
    const gauges = { ...GAUGES, size: undefined, quotaBytes: 0 }
    const text = renderFamilies(storeFamilies(gauges, new StoreCounters(), new Alarms()))
    assert.match(text, /^etcd_server_has_leader 0$/m)
    assert.doesNotMatch(text, /db_total_size|quota_backend|server_alarms/)
  })

  it('have unique names in the form that Prometheus takes', async () => {
    const all: readonly Family[] = [
      ...storeFamilies(GAUGES, new StoreCounters(), new Alarms()),
      ...new DatabaseMetrics().families(),
      ...(await processFamilies()),
    ]
    const names = all.map(({ name }) => name)
    assert.deepEqual(names, [...new Set(names)])
    for (const { name, help } of all) assert.ok(/^[a-z_]+$/.test(name) && /^[A-Z].*\.$/.test(help), name)
    assert.ok(names.includes('process_open_fds') && names.includes('process_virtual_memory_bytes'))
  })

  it('escape what a label or a help text may hold', () => {
    const family = { name: 'x', type: 'gauge', help: 'a\\b\nc' } as const
    const text = renderFamilies([{ ...family, samples: [{ labels: { l: '"\\\n' }, value: Infinity }] }])
    assert.equal(text, '# HELP x a\\\\b\\nc\n# TYPE x gauge\nx{l="\\"\\\\\\n"} +Inf\n')
  })

  it('count the operations that a transaction has done, and writes that failed', async () => {
    const counters = new StoreCounters()
    const put = {
      type: 'put',
      request: {
        key: Buffer.from('k'),
        value: Buffer.from('v'),
        lease: 0,
        previousWanted: false,
        ignoreValue: false,
        ignoreLease: false,
      },
    } as const satisfies TxnOp
    const nested: TxnRequest = { compares: [], success: [], failure: [put, put] }
    const request: TxnRequest = { compares: [], success: [put, { type: 'txn', request: nested }], failure: [] }
    const answered = { revision: 1, succeeded: true, responses: [] }
    const inner = { ...answered, succeeded: false }
    const responses = [
      { type: 'put', revision: 1, previous: undefined },
      { type: 'txn', result: inner },
    ] as const
    let outcome: () => unknown = () => ({ value: { ...answered, responses } })
    const store = new ObservedStore({ txn: () => Promise.resolve().then(outcome) } as unknown as Backend, counters)
    await store.txn(request)
    assert.deepEqual([counters.puts, counters.txns, counters.putBytes, counters.committed], [3, 1, 6, 1])
    for (const kind of ['unavailable', 'compacted'] as const) {
      outcome = () => Promise.reject(new StoreError(kind))
      await assert.rejects(store.txn(request))
    }
    assert.deepEqual([counters.failed, counters.pending], [1, 0])
  })
})

describe('slow log', () => {
  it('has one line for a call, without keys and values, and few in an outage', async () => {
    const lines: LogFields[] = []
    let now = 0
    const log = { ...silentLogger, warn: (_: string, fields?: LogFields) => lines.push(fields ?? {}) }
    const slow = new SlowLog('slow database call', 0.000001, { log, now: () => now })
    const counters = new StoreCounters()
    const memory = new MemoryDialect()
    const dialect = new ObservedDialect(memory, { metrics: new DatabaseMetrics(), counters, slow })
    await dialect.open()
    memory.beforeRead = () => Promise.reject(new StoreError('unavailable'))
    for (let i = 0; i < 25; i += 1) await assert.rejects(dialect.readValues([1, 2, 3]))
    assert.equal(lines.length, 10)
    const { durationMs, ...rest } = lines[0] ?? {}
    assert.equal(typeof durationMs, 'number')
    assert.deepEqual(rest, { operation: 'read_values', rows: 3, error: 'unavailable' })
    now = 10_000
    await assert.rejects(dialect.readValues([1]))
    assert.equal(lines[10]?.['omitted'], 15)
    await dialect.close()
  })

  it('is off with a threshold of 0', () => {
    assert.equal(new SlowLog('', 0, { log: silentLogger, now: () => 0 }).thresholdMs, Infinity)
  })
})

/** Written anew with UPDATE_GOLDEN=1. */
async function assertGolden(name: string, text: string): Promise<void> {
  const file = new URL(`testdata/${name}`, import.meta.url)
  if (process.env['UPDATE_GOLDEN'] === '1') await writeFile(file, text)
  assert.equal(text, await readFile(file, 'utf8'))
}
