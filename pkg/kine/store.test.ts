import assert from 'node:assert/strict'
import type { Key, RangeQuery, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { Store } from '#pkg/kine/store.ts'
import { MemoryDialect } from '#pkg/kine/testing/memory-dialect.ts'
import { isKind, put, query, settle, Sink, watch } from '#pkg/kine/testing/store-requests.ts'
import { valueOf } from '#pkg/kine/wire/key-value.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const b = (text: string): Key => Buffer.from(text)
const OPTIONS = { ringBytes: 1e6, cacheBytes: 1e5, progressIntervalMs: 60_000 }

const onFailure = (error: unknown): void => assert.fail(String(error))

describe('Store', () => {
  let dialect: MemoryDialect
  let store: Store

  beforeEach(async () => {
    dialect = new MemoryDialect()
    store = await Store.open(OPTIONS, { dialect, log: silentLogger, onFailure })
  })
  afterEach(() => store.close())

  const keys = async (range: RangeQuery): Promise<string[]> => {
    using result = await store.range(range)
    return result.value.versions.map(({ key }) => String(key))
  }

  /** One transaction whose result is let go at once. */
  const write = async (request: TxnRequest): Promise<TxnResult> => {
    using result = await store.txn(request)
    return result.value
  }

  it('commits what arrives during a commit together, in order and without gaps', async () => {
    const first = Promise.withResolvers<undefined>()
    dialect.beforeAppend = () => first.promise
    const writes = [write(put('a'))]
    await settle()
    for (let i = 0; i < 50; i += 1) writes.push(write(put(`k${i}`)))
    await settle()
    assert.deepEqual([await keys(query('a')), store.revision], [[], 1], 'nothing is visible before its commit')
    dialect.beforeAppend = undefined
    first.resolve(undefined)
    const results = await Promise.all(writes)
    assert.deepEqual(
      results.map(({ revision }) => revision),
      results.map((_, i) => i + 2),
    )
    assert.equal(dialect.commits, 2)
  })

  it('decides races inside one batch', async () => {
    const create: TxnRequest = {
      ...put('race'),
      compares: [{ range: { start: b('race') }, result: 'equal', target: 'mod', operand: 0 }],
    }
    const results = await Promise.all([write(create), write(create), write(create)])
    assert.deepEqual(
      results.map(({ succeeded }) => succeeded),
      [true, false, false],
    )
    assert.deepEqual([dialect.commits, store.revision], [1, 2])
  })

  it('applies nothing of a batch that could not be committed, and goes on afterwards', async () => {
    const sink = new Sink()
    watch(store.hub.open(sink), 'a', 'z')
    await write(put('a', '1'))
    dialect.beforeAppend = () => {
      throw new StoreError('no-space')
    }
    const failed = await Promise.allSettled([write(put('a', '2')), write(put('b')), store.leaseGrant(5, 60)])
    for (const outcome of failed) assert.ok(outcome.status === 'rejected' && isKind('no-space')(outcome.reason))
    assert.deepEqual([store.revision, await store.leases(), await keys(query('b'))], [2, [], []])
    dialect.beforeAppend = undefined
    assert.equal((await write(put('b'))).revision, 3)
    assert.deepEqual(sink.lines, ['2 a=1', '3 b=b'])
  })

  it('gives a watcher that stops reading everything later, once and in order', async () => {
    const sink = new Sink()
    const stream = store.hub.open(sink)
    watch(stream, 'w', 'x')
    await write(put('w1', 'a'))
    sink.writable = false
    await write(put('w1', 'b'))
    await write(put('other'))
    stream.requestProgress()
    await write(put('w2', 'c'))
    assert.deepEqual(sink.lines, ['2 w1=a'])
    sink.writable = true
    stream.resume()
    await settle()
    await write(put('w1', 'd'))
    assert.deepEqual(sink.lines, ['2 w1=a', '3 w1=b was a', '5 w2=c', '6 w1=d was b'])
    stream.requestProgress()
    assert.equal(sink.lines.at(-1), 'progress -1 6')
  })

  it('fills a watcher from the log when the ring has moved on, through failures of the database', async () => {
    await store.close()
    store = await Store.open({ ...OPTIONS, ringBytes: 1000 }, { dialect, log: silentLogger, onFailure })
    for (let i = 0; i < 50; i += 1) await write(put(`k${i % 3}`, String(i)))
    const sink = new Sink()
    const stream = store.hub.open(sink)
    let failures = 2
    dialect.beforeRead = () => {
      failures -= 1
      if (failures >= 0) throw new StoreError('unavailable')
    }
    watch(stream, 'k', 'l', { startRevision: 10 })
    while (sink.lines.length < 42) await new Promise((resolve) => setTimeout(resolve, 20))
    const expected = Array.from({ length: 42 }, (_, i) => `${i + 10} k${(i + 8) % 3}=${i + 8} was ${i + 5}`)
    assert.deepEqual(sink.lines, expected)
  })

  it('ends a watcher that a compaction has overtaken', async () => {
    const sink = new Sink()
    const stream = store.hub.open(sink)
    watch(stream, 'a', 'b')
    sink.writable = false
    for (let i = 0; i < 3; i += 1) await write(put('a', String(i)))
    await store.compact(4)
    sink.writable = true
    stream.resume()
    await settle()
    assert.deepEqual(sink.lines, ['compacted 4'])
  })

  it('does not delete rows under a read that still needs them', async () => {
    for (const value of ['1', '2', '3']) await write(put('p', value))
    const pinned = await store.range(query('p', undefined, { revision: 2 }))
    await store.compact(4)
    await settle()
    const rowCount = (): number => dialect.rows.length
    assert.equal(rowCount(), 3)
    assert.equal(valueOf((await store.loadKeyValues(pinned.value.versions))[0] ?? b('')).toString(), '1')
    pinned[Symbol.dispose]()
    while (rowCount() > 1) await new Promise((resolve) => setTimeout(resolve, 20))
    await assert.rejects(store.range(query('p', undefined, { revision: 3 })), isKind('compacted'))
  })

  it('revokes a lease with keys that the same batch attaches and detaches', async () => {
    await store.leaseGrant(9, 600)
    await write(put('l/old', 'x', 9))
    const [, , revision] = await Promise.all([
      write(put('l/new', 'x', 9)),
      write(put('l/old', 'x')),
      store.leaseRevoke(9),
    ])
    assert.equal(revision, store.revision)
    assert.deepEqual(await keys(query('l/', 'l0')), ['l/old'])
    await assert.rejects(write(put('l/late', 'x', 9)), isKind('lease-not-found'))
  })

  it('compares values written in the same batch', async () => {
    await write(put('v', 'old'))
    const compare = (value: string): TxnRequest => ({
      ...put('v', `after ${value}`),
      compares: [{ range: { start: b('v') }, result: 'equal', target: 'value', operand: b(value) }],
    })
    const results = await Promise.all([write(put('v', 'new')), write(compare('old')), write(compare('new'))])
    assert.deepEqual(
      results.map(({ succeeded }) => succeeded),
      [true, false, true],
    )
  })

  it('refuses writes once it is closed', async () => {
    await store.close()
    await assert.rejects(write(put('a')), isKind('stopped'))
  })

  it('loads index, leases and attachments page by page', async () => {
    await store.leaseGrant(3, 600)
    for (let i = 0; i < 10; i += 1) await write(put(`k${i}`, 'x', i === 4 ? 3 : 0))
    const again = await Store.open(OPTIONS, { dialect, log: silentLogger, onFailure })
    assert.deepEqual([again.keys, again.revision], [10, store.revision])
    assert.deepEqual((await again.leaseTimeToLive(3))?.keys.map(String), ['k4'])
    await again.close()
  })
})
