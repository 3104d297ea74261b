import assert from 'node:assert/strict'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b, keysOf, rejectsWith, valuesOf } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'KV', (on) => {
  it('starts at revision 1 and fills the header', async () => {
    const { header, count, kvs, more } = await on.etcd.range('nothing')
    assert.equal(header.revision, 1)
    assert.notEqual(String(header.cluster_id), '0')
    assert.notEqual(String(header.member_id), '0')
    assert.ok(header.raft_term > 0)
    assert.deepEqual({ count, kvs, more }, { count: 0, kvs: [], more: false })
  })

  it('puts, counts versions, gives the previous value', async () => {
    const first = await on.etcd.put('v/a', 'one', { prev_kv: true })
    assert.equal(first.prev_kv, null)
    const second = await on.etcd.put('v/a', 'two', { prev_kv: true })
    assert.equal(second.header.revision, first.header.revision + 1)
    assert.equal(second.prev_kv!.value.toString(), 'one')
    const [kv] = (await on.etcd.range('v/a')).kvs
    assert.equal(kv!.version, 2)
    assert.equal(kv!.create_revision, first.header.revision)
    assert.equal(kv!.mod_revision, second.header.revision)
    assert.equal(kv!.value.toString(), 'two')
    const removed = await on.etcd.remove('v/a', { prev_kv: true })
    assert.equal(removed.deleted, 1)
    assert.equal(removed.prev_kvs[0]!.value.toString(), 'two')
    const again = await on.etcd.put('v/a', 'three')
    const [fresh] = (await on.etcd.range('v/a')).kvs
    assert.equal(fresh!.version, 1)
    assert.equal(fresh!.create_revision, again.header.revision)
  })

  it('keeps an empty value and keys of any bytes in byte order', async () => {
    const odd = [
      Buffer.from([0x7a, 0]),
      Buffer.from([0x7a, 0, 1]),
      Buffer.from([0x7a, 0x7f]),
      Buffer.from([0x7a, 0xff, 0xff]),
    ]
    for (const key of odd.toReversed()) await on.etcd.call('KV/Put', { key, value: Buffer.alloc(0) })
    const { kvs } = await on.etcd.call('KV/Range', { key: b('z'), range_end: b('{') })
    assert.deepEqual(
      kvs.map((kv) => kv.key.toString('hex')),
      odd.map((key) => key.toString('hex')),
    )
    assert.equal(kvs[0]!.value.length, 0)
  })

  it('lists with limit, more and count, and goes on behind the last key', async () => {
    for (const name of ['c', 'a', 'e', 'b', 'd']) await on.etcd.put(`l/${name}`, name)
    const range = prefixRange('l/')
    const page = await on.etcd.call('KV/Range', { ...range, limit: 2 })
    assert.deepEqual([keysOf(page), page.more, page.count], [['l/a', 'l/b'], true, 5])
    const rest = await on.etcd.call('KV/Range', { ...range, key: b('l/b\0'), limit: 3 })
    assert.deepEqual([keysOf(rest), rest.more, rest.count], [['l/c', 'l/d', 'l/e'], false, 3])
    const counted = await on.etcd.call('KV/Range', { ...range, count_only: true })
    assert.deepEqual([counted.kvs, counted.count, counted.more], [[], 5, false])
    const bare = await on.etcd.call('KV/Range', { ...range, keys_only: true })
    assert.deepEqual(
      [keysOf(bare), valuesOf(bare)],
      [
        ['l/a', 'l/b', 'l/c', 'l/d', 'l/e'],
        ['', '', '', '', ''],
      ],
    )
    const open = await on.etcd.call('KV/Range', { key: b('l/d'), range_end: Buffer.from([0]), limit: 2 })
    assert.deepEqual(keysOf(open), ['l/d', 'l/e'])
  })

  it('sorts and filters', async () => {
    const first = (await on.etcd.put('s/a', '3')).header.revision
    await on.etcd.put('s/b', '1')
    await on.etcd.put('s/c', '2')
    await on.etcd.put('s/a', '4')
    const range = prefixRange('s/')
    const sorted = async (request: object): Promise<string[]> =>
      keysOf(await on.etcd.call('KV/Range', { ...range, ...request }))
    assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Key' }), ['s/c', 's/b', 's/a'])
    assert.deepEqual(await sorted({ sort_order: 'Ascend', sort_target: 'Mod' }), ['s/b', 's/c', 's/a'])
    assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Create' }), ['s/c', 's/b', 's/a'])
    assert.deepEqual(await sorted({ sort_order: 'Ascend', sort_target: 'Value' }), ['s/b', 's/c', 's/a'])
    assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Value', limit: 1 }), ['s/a'])
    assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Version', limit: 1 }), ['s/a'])
    assert.deepEqual(await sorted({ min_mod_revision: first + 2 }), ['s/a', 's/c'])
    assert.deepEqual(await sorted({ max_create_revision: first }), ['s/a'])
    const limited = await on.etcd.call('KV/Range', { ...range, max_mod_revision: first + 2, limit: 1 })
    assert.deepEqual([keysOf(limited), limited.more, limited.count], [['s/b'], true, 3])
  })

  it('reads old revisions exactly, with deleted and recreated keys', async () => {
    const at: number[] = []
    const note = (response: Message): void => void at.push(response.header.revision)
    note(await on.etcd.put('h/a', 'a1'))
    note(await on.etcd.put('h/b', 'b1'))
    note(await on.etcd.remove('h/a'))
    note(await on.etcd.put('h/b', 'b2'))
    note(await on.etcd.put('h/a', 'a2'))
    note(await on.etcd.remove('h/b'))
    const range = prefixRange('h/')
    const seen: unknown[] = []
    for (const revision of at) {
      const response = await on.etcd.call('KV/Range', { ...range, revision })
      assert.equal(response.header.revision, at.at(-1))
      seen.push([response.count, valuesOf(response)])
    }
    const expected = [
      [1, ['a1']],
      [2, ['a1', 'b1']],
      [1, ['b1']],
      [1, ['b2']],
      [2, ['a2', 'b2']],
      [1, ['a2']],
    ]
    assert.deepEqual(seen, expected)
    const counted = await on.etcd.call('KV/Range', { ...range, revision: at[4], count_only: true })
    assert.equal(counted.count, 2)
    const page = await on.etcd.call('KV/Range', { ...range, revision: at[4], limit: 1 })
    assert.deepEqual([valuesOf(page), page.more, page.count], [['a2'], true, 2])
  })

  it('keeps value or lease on request', async () => {
    await on.etcd.put('i/a', 'kept')
    await on.etcd.call('KV/Put', { key: b('i/a'), ignore_value: true })
    const [kv] = (await on.etcd.range('i/a')).kvs
    assert.deepEqual([kv!.value.toString(), kv!.version], ['kept', 2])
    await on.etcd.put('i/a', 'new', { ignore_lease: true })
    await rejectsWith(on.etcd.call('KV/Put', { key: b('i/none'), ignore_value: true }), 3, 'etcdserver: key not found')
    await rejectsWith(on.etcd.put('i/a', 'x', { ignore_value: true }), 3, 'etcdserver: value is provided')
    await rejectsWith(on.etcd.put('i/a', 'x', { ignore_lease: true, lease: 3 }), 3, 'etcdserver: lease is provided')
  })

  it('answers a list of many megabytes', async () => {
    const value = 'v'.repeat(64 * 1024)
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => on.etcd.put(`big/${String(i).padStart(3, '0')}`, `${i}${value}`)),
    )
    const { kvs, count } = await on.etcd.call('KV/Range', prefixRange('big/'))
    assert.equal(count, 200)
    assert.deepEqual(
      kvs.map((kv) => Number.parseInt(kv.value.subarray(0, 3).toString(), 10)),
      [...kvs.keys()],
    )
    assert.equal((await on.etcd.call('KV/DeleteRange', prefixRange('big/'))).deleted, 200)
  })
})
