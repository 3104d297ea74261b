import assert from 'node:assert/strict'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { b, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { eventsOf, openWatch } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

const MIB = 1024 * 1024
const MAX_REQUEST_BYTES = 1.5 * MIB
/** etcd counts its own envelope around a request, which varies by a few bytes. */
const ENVELOPE_BYTES = { least: 12, most: 28 }
/** Bytes of a PutRequest around a one-byte key and a value of more than a mebibyte, less than two. */
const AROUND_VALUE = 3 + 4

/** Keys at the limits of column types, with every awkward byte, in byte order. */
const KEYS: readonly Buffer[] = [
  Buffer.from([0]),
  Buffer.from([0, 0]),
  Buffer.from([0, 0xff]),
  b('%_\\'),
  b("';--"),
  b('A'),
  b('K'),
  b('a'),
  b('a '),
  b('k'.repeat(255)),
  b('k'.repeat(256)),
  b('k'.repeat(630)),
  b('k'.repeat(631)),
  b('k'.repeat(767)),
  b('k'.repeat(768)),
  b('k'.repeat(3072)),
  b(`${'k'.repeat(3072)}a`),
  b(`${'k'.repeat(3072)}b`),
  b('k'.repeat(100_000)),
  Buffer.from([0xc3, 0x28]),
  b('ä/ß/日本語/🎉'),
  Buffer.from([0xff]),
  Buffer.from([0xff, 0xff, 0]),
]

onEach(TARGETS, 'sizes', (on) => {
  const putBytes = (requestBytes: number): Promise<Message> =>
    on.etcd.call('KV/Put', { key: b('s'), value: Buffer.alloc(requestBytes - AROUND_VALUE, 'v') })

  it('takes requests up to 1.5 MiB, with what etcd puts around them', async () => {
    await putBytes(MAX_REQUEST_BYTES - ENVELOPE_BYTES.most)
    assert.equal(
      (await on.etcd.range('s')).kvs[0]!.value.length,
      MAX_REQUEST_BYTES - ENVELOPE_BYTES.most - AROUND_VALUE,
    )
    for (const over of [-ENVELOPE_BYTES.least, -1, 0, 1]) {
      await rejectsWith(putBytes(MAX_REQUEST_BYTES + over), 3, TEXTS.tooLarge)
    }
    const op = { request_put: { key: b('s'), value: Buffer.alloc(MAX_REQUEST_BYTES) } }
    await rejectsWith(on.etcd.txn({ success: [op] }), 3, TEXTS.tooLarge)
    await rejectsWith(on.etcd.txn({ failure: [op] }), 3, TEXTS.tooLarge)
  })

  it('refuses messages above 2 MiB without reading them', async () => {
    await rejectsWith(putBytes(2 * MIB - 1), 3, TEXTS.tooLarge)
    await assert.rejects(putBytes(2 * MIB + 64), { code: 8, details: /received message larger than max/ })
    assert.ok((await on.etcd.range('s')).header.revision > 0)
  })

  it('keeps keys of any bytes and length, in byte order, through every path', async () => {
    await using store = await on.target.create()
    const first = await store.serve()
    const etcd = first.connect()
    const live = await openWatch(etcd, EVERYTHING)
    for (const key of KEYS.toReversed()) await etcd.call('KV/Put', { key, value: key })
    assertKeys(await etcd.call('KV/Range', EVERYTHING))
    const events = await eventsOf(live, KEYS.length)
    assert.ok(events.toReversed().every(({ kv }, i) => kv.key.equals(KEYS[i]!) && kv.value.equals(KEYS[i]!)))
    await first.stop()
    const second = (await store.serve()).connect()
    assertKeys(await second.call('KV/Range', EVERYTHING))
    await assertEach(second)
    const history = await eventsOf(await openWatch(second, { ...EVERYTHING, start_revision: 2 }), KEYS.length)
    assert.ok(history.toReversed().every(({ kv }, i) => kv.key.equals(KEYS[i]!)))
    for (const key of KEYS) assert.equal((await second.call('KV/DeleteRange', { key })).deleted, 1)
    assert.equal((await second.call('KV/Range', EVERYTHING)).count, 0)
    const { header } = await second.call('KV/Range', EVERYTHING)
    assertKeys(await second.call('KV/Range', { ...EVERYTHING, revision: header.revision - KEYS.length }))
  })

  it('tells an empty value from no value', async () => {
    await on.etcd.put('empty', '')
    await on.etcd.put('empty', '', { prev_kv: true })
    const { prev_kv: previous } = await on.etcd.put('empty', 'x', { prev_kv: true })
    assert.deepEqual([previous!.value.length, previous!.version], [0, 2])
    const compare = { target: 'Value', result: 'Equal', key: b('none'), value: b('') }
    assert.equal((await on.etcd.txn({ compare: [compare] })).succeeded, false)
  })
})

const EVERYTHING = { key: Buffer.from([0]), range_end: Buffer.from([0]) }

function assertKeys({ kvs, count, more }: Message): void {
  assert.deepEqual([count, more], [KEYS.length, false])
  assert.ok(
    kvs.every(({ key, value }, i) => key.equals(KEYS[i]!) && value.equals(key)),
    'keys and values in byte order',
  )
}

async function assertEach(etcd: EtcdClient): Promise<void> {
  for (const [i, key] of KEYS.entries()) {
    const { kvs } = await etcd.call('KV/Range', { key })
    assert.ok(kvs[0]!.key.equals(key), `key ${i}`)
    const behind = await etcd.call('KV/Range', { ...EVERYTHING, key: Buffer.concat([key, Buffer.from([0])]) })
    assert.ok(behind.count >= KEYS.length - i - 1 && behind.count <= KEYS.length - i, `behind key ${i}`)
  }
}
