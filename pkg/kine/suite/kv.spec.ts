import assert from 'node:assert/strict'
import type { ServiceError } from '@grpc/grpc-js'
import type { EtcdClient, Message } from '#pkg/kine/testing/etcd-client.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

const b = (text: string): Buffer => Buffer.from(text)
const keys = (response: Message): string[] => response.kvs.map(({ key }) => key.toString())
const values = (response: Message): string[] => response.kvs.map(({ value }) => value.toString())
const put = (key: string, value: string, more: object = {}): object => ({
  request_put: { key: b(key), value: b(value), ...more },
})
const get = (key: string, more: object = {}): object => ({ request_range: { key: b(key), ...more } })
const del = (key: string, more: object = {}): object => ({ request_delete_range: { key: b(key), ...more } })
const modIs = (key: string, revision: number): object => ({
  target: 'Mod',
  result: 'Equal',
  key: b(key),
  mod_revision: revision,
})

for (const target of TARGETS) {
  describe(`etcd KV on ${target.name}`, function () {
    this.timeout(60_000)
    let server: TestServer
    let etcd: EtcdClient
    const fails = async (call: Promise<unknown>, code: number, details: string): Promise<void> => {
      await assert.rejects(call, (error: ServiceError) => {
        assert.equal(error.details, details)
        assert.equal(error.code, code)
        return true
      })
    }

    before(async () => {
      server = await target.start()
      etcd = server.connect()
    })
    after(() => server.stop())

    it('starts at revision 1 and fills the header', async () => {
      const { header, count, kvs, more } = await etcd.range('nothing')
      assert.equal(header.revision, 1)
      assert.notEqual(String(header.cluster_id), '0')
      assert.notEqual(String(header.member_id), '0')
      assert.ok(header.raft_term > 0)
      assert.deepEqual({ count, kvs, more }, { count: 0, kvs: [], more: false })
    })

    it('puts, counts versions, gives the previous value', async () => {
      const first = await etcd.put('v/a', 'one', { prev_kv: true })
      assert.equal(first.prev_kv, null)
      const second = await etcd.put('v/a', 'two', { prev_kv: true })
      assert.equal(second.header.revision, first.header.revision + 1)
      assert.equal(second.prev_kv!.value.toString(), 'one')
      const [kv] = (await etcd.range('v/a')).kvs
      assert.equal(kv!.version, 2)
      assert.equal(kv!.create_revision, first.header.revision)
      assert.equal(kv!.mod_revision, second.header.revision)
      assert.equal(kv!.value.toString(), 'two')
      const removed = await etcd.remove('v/a', { prev_kv: true })
      assert.equal(removed.deleted, 1)
      assert.equal(removed.prev_kvs[0]!.value.toString(), 'two')
      const again = await etcd.put('v/a', 'three')
      const [fresh] = (await etcd.range('v/a')).kvs
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
      for (const key of odd.toReversed()) await etcd.call('KV/Put', { key, value: Buffer.alloc(0) })
      const { kvs } = await etcd.call('KV/Range', { key: b('z'), range_end: b('{') })
      assert.deepEqual(
        kvs.map((kv) => kv.key.toString('hex')),
        odd.map((key) => key.toString('hex')),
      )
      assert.equal(kvs[0]!.value.length, 0)
    })

    it('lists with limit, more and count, and goes on behind the last key', async () => {
      for (const name of ['c', 'a', 'e', 'b', 'd']) await etcd.put(`l/${name}`, name)
      const range = prefixRange('l/')
      const page = await etcd.call('KV/Range', { ...range, limit: 2 })
      assert.deepEqual([keys(page), page.more, page.count], [['l/a', 'l/b'], true, 5])
      const rest = await etcd.call('KV/Range', { ...range, key: b('l/b\0'), limit: 3 })
      assert.deepEqual([keys(rest), rest.more, rest.count], [['l/c', 'l/d', 'l/e'], false, 3])
      const counted = await etcd.call('KV/Range', { ...range, count_only: true })
      assert.deepEqual([counted.kvs, counted.count, counted.more], [[], 5, false])
      const bare = await etcd.call('KV/Range', { ...range, keys_only: true })
      assert.deepEqual(
        [keys(bare), values(bare)],
        [
          ['l/a', 'l/b', 'l/c', 'l/d', 'l/e'],
          ['', '', '', '', ''],
        ],
      )
      const open = await etcd.call('KV/Range', { key: b('l/d'), range_end: Buffer.from([0]), limit: 2 })
      assert.deepEqual(keys(open), ['l/d', 'l/e'])
    })

    it('sorts and filters', async () => {
      const first = (await etcd.put('s/a', '3')).header.revision
      await etcd.put('s/b', '1')
      await etcd.put('s/c', '2')
      await etcd.put('s/a', '4')
      const range = prefixRange('s/')
      const sorted = async (request: object): Promise<string[]> =>
        keys(await etcd.call('KV/Range', { ...range, ...request }))
      assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Key' }), ['s/c', 's/b', 's/a'])
      assert.deepEqual(await sorted({ sort_order: 'Ascend', sort_target: 'Mod' }), ['s/b', 's/c', 's/a'])
      assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Create' }), ['s/c', 's/b', 's/a'])
      assert.deepEqual(await sorted({ sort_order: 'Ascend', sort_target: 'Value' }), ['s/b', 's/c', 's/a'])
      assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Value', limit: 1 }), ['s/a'])
      assert.deepEqual(await sorted({ sort_order: 'Descend', sort_target: 'Version', limit: 1 }), ['s/a'])
      assert.deepEqual(await sorted({ min_mod_revision: first + 2 }), ['s/a', 's/c'])
      assert.deepEqual(await sorted({ max_create_revision: first }), ['s/a'])
      const limited = await etcd.call('KV/Range', { ...range, max_mod_revision: first + 2, limit: 1 })
      assert.deepEqual([keys(limited), limited.more, limited.count], [['s/b'], true, 3])
    })

    it('reads old revisions exactly, with deleted and recreated keys', async () => {
      const at: number[] = []
      const note = (response: Message): void => void at.push(response.header.revision)
      note(await etcd.put('h/a', 'a1'))
      note(await etcd.put('h/b', 'b1'))
      note(await etcd.remove('h/a'))
      note(await etcd.put('h/b', 'b2'))
      note(await etcd.put('h/a', 'a2'))
      note(await etcd.remove('h/b'))
      const range = prefixRange('h/')
      const seen: unknown[] = []
      for (const revision of at) {
        const response = await etcd.call('KV/Range', { ...range, revision })
        assert.equal(response.header.revision, at.at(-1))
        seen.push([response.count, values(response)])
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
      const counted = await etcd.call('KV/Range', { ...range, revision: at[4], count_only: true })
      assert.equal(counted.count, 2)
      const page = await etcd.call('KV/Range', { ...range, revision: at[4], limit: 1 })
      assert.deepEqual([values(page), page.more, page.count], [['a2'], true, 2])
    })

    it('creates, updates and deletes by mod revision, as the API server does', async () => {
      const create = { compare: [modIs('k', 0)], success: [put('k', '1')] }
      const created = await etcd.txn(create)
      assert.equal(created.succeeded, true)
      const refused = await etcd.txn({ ...create, failure: [get('k')] })
      assert.equal(refused.succeeded, false)
      assert.equal(refused.header.revision, created.header.revision)
      const seen = refused.responses[0]!.response_range
      assert.equal(seen.kvs[0]!.mod_revision, created.header.revision)
      const revision = seen.kvs[0]!.mod_revision
      const updated = await etcd.txn({ compare: [modIs('k', revision)], success: [put('k', '2')], failure: [get('k')] })
      assert.equal(updated.succeeded, true)
      assert.equal(updated.responses[0]!.response_put.header.revision, updated.header.revision)
      const lost = await etcd.txn({ compare: [modIs('k', revision)], success: [del('k')], failure: [get('k')] })
      assert.equal(lost.succeeded, false)
      const gone = await etcd.txn({ compare: [modIs('k', updated.header.revision)], success: [del('k')] })
      assert.deepEqual([gone.succeeded, gone.responses[0]!.response_delete_range.deleted], [true, 1])
      const missing = await etcd.txn({ compare: [modIs('k', 5)], success: [del('k')], failure: [get('k')] })
      assert.equal(missing.succeeded, false)
      assert.equal(missing.responses[0]!.response_range.kvs.length, 0)
    })

    it('compares every target, over ranges too', async () => {
      await etcd.put('cmp/a', 'x')
      const { header } = await etcd.put('cmp/a', 'y')
      await etcd.put('cmp/b', 'y')
      const holds = async (compare: object): Promise<boolean> =>
        (await etcd.txn({ compare: [{ key: b('cmp/a'), ...compare }] })).succeeded
      assert.ok(await holds({ target: 'Version', result: 'Equal', version: 2 }))
      assert.ok(await holds({ target: 'Version', result: 'Greater', version: 1 }))
      assert.ok(await holds({ target: 'Create', result: 'Equal', create_revision: header.revision - 1 }))
      assert.ok(await holds({ target: 'Mod', result: 'Less', mod_revision: header.revision + 1 }))
      assert.ok(await holds({ target: 'Value', result: 'Equal', value: b('y') }))
      assert.ok(await holds({ target: 'Value', result: 'NotEqual', value: b('x') }))
      assert.ok(await holds({ target: 'Lease', result: 'Equal', lease: 0 }))
      const all = { range_end: b('cmp/z'), result: 'Equal' }
      assert.ok(await holds({ ...all, target: 'Value', value: b('y') }))
      assert.ok(!(await holds({ ...all, target: 'Version', version: 2 })))
      assert.ok(await holds({ key: b('none'), target: 'Version', result: 'Equal', version: 0 }))
      assert.ok(!(await holds({ key: b('none'), target: 'Value', result: 'NotEqual', value: b('x') })))
    })

    it('runs several operations under one revision, each seeing those before it', async () => {
      const { header } = await etcd.put('m/x', 'old')
      const result = await etcd.txn({
        success: [
          put('m/y', '1', { prev_kv: true }),
          get('m/y'),
          del('m/x', { prev_kv: true }),
          get('m/x'),
          put('m/z', '2'),
        ],
      })
      assert.equal(result.header.revision, header.revision + 1)
      const [first, second, third, fourth] = result.responses
      assert.equal(first!.response_put.prev_kv, null)
      assert.equal(second!.response_range.kvs[0]!.value.toString(), '1')
      assert.equal(second!.response_range.header.revision, header.revision + 1)
      assert.equal(third!.response_delete_range.prev_kvs[0]!.value.toString(), 'old')
      assert.equal(fourth!.response_range.count, 0)
      const { kvs } = await etcd.call('KV/Range', prefixRange('m/'))
      assert.deepEqual(
        kvs.map((kv) => kv.mod_revision),
        [header.revision + 1, header.revision + 1],
      )
    })

    it('nests transactions, deciding all branches before the first change', async () => {
      const before = (await etcd.put('n/a', '1')).header.revision
      const inner = {
        compare: [{ target: 'Version', result: 'Equal', key: b('n/new'), version: 0 }],
        success: [put('n/inner', 'yes')],
        failure: [put('n/inner', 'no')],
      }
      const result = await etcd.txn({ success: [put('n/new', '1'), { request_txn: inner }] })
      assert.equal(result.header.revision, before + 1)
      const nested = result.responses[1]!.response_txn
      assert.equal(nested.succeeded, true)
      assert.equal(nested.header.revision, 0)
      assert.equal((await etcd.range('n/inner')).kvs[0]!.value.toString(), 'yes')
    })

    it('does not move the revision when nothing changes', async () => {
      const before = (await etcd.range('x')).header.revision
      await etcd.txn({ success: [get('x')] })
      await etcd.remove('not-there')
      await etcd.txn({ success: [del('not-there'), get('x')] })
      assert.equal((await etcd.range('x')).header.revision, before)
    })

    it('keeps value or lease on request', async () => {
      await etcd.put('i/a', 'kept')
      await etcd.call('KV/Put', { key: b('i/a'), ignore_value: true })
      const [kv] = (await etcd.range('i/a')).kvs
      assert.deepEqual([kv!.value.toString(), kv!.version], ['kept', 2])
      await etcd.put('i/a', 'new', { ignore_lease: true })
      await fails(etcd.call('KV/Put', { key: b('i/none'), ignore_value: true }), 3, 'etcdserver: key not found')
      await fails(etcd.put('i/a', 'x', { ignore_value: true }), 3, 'etcdserver: value is provided')
      await fails(etcd.put('i/a', 'x', { ignore_lease: true, lease: 3 }), 3, 'etcdserver: lease is provided')
    })

    it('refuses bad requests with the texts of etcd', async () => {
      await fails(etcd.range(''), 3, 'etcdserver: key is not provided')
      await fails(etcd.put('', 'x'), 3, 'etcdserver: key is not provided')
      await fails(
        etcd.txn({ success: [put('d', '1'), put('d', '2')] }),
        3,
        'etcdserver: duplicate key given in txn request',
      )
      await fails(etcd.txn({ success: [put('d', '1'), del('d')] }), 3, 'etcdserver: duplicate key given in txn request')
      const many = Array.from({ length: 129 }, (_, i) => put(`many/${i}`, 'x'))
      await fails(etcd.txn({ success: many }), 3, 'etcdserver: too many operations in txn request')
      assert.equal((await etcd.txn({ success: many.slice(1) })).responses.length, 128)
      await fails(etcd.put('lease', 'x', { lease: 4711 }), 5, 'etcdserver: requested lease not found')
      const { header } = await etcd.range('d')
      const future = 'etcdserver: mvcc: required revision is a future revision'
      await fails(etcd.range('d', { revision: header.revision + 1 }), 11, future)
      await fails(etcd.txn({ success: [get('d', { revision: header.revision + 1 })] }), 11, future)
      const large = 'x'.repeat(1.5 * 1024 * 1024)
      await fails(etcd.put('large', large), 3, 'etcdserver: request is too large')
      assert.ok((await etcd.put('large', large.slice(64))).header.revision > 0)
      assert.equal((await etcd.range('large')).kvs[0]!.value.length, large.length - 64)
      await assert.rejects(etcd.put('huge', 'x'.repeat(2 * 1024 * 1024)), { code: 8 })
    })

    it('compacts by the rule of etcd', async () => {
      const [first, second] = [await etcd.put('g/a', '1'), await etcd.put('g/a', '2')]
      await etcd.put('g/dead', '1')
      const removed = await etcd.remove('g/dead')
      const last = await etcd.put('g/b', '1')
      const at = removed.header.revision
      const done = await etcd.call('KV/Compact', { revision: at, physical: true })
      assert.equal(done.header.revision, last.header.revision)
      const gone = 'etcdserver: mvcc: required revision has been compacted'
      await fails(etcd.range('g/a', { revision: first.header.revision }), 11, gone)
      await fails(etcd.range('g/a', { revision: second.header.revision }), 11, gone)
      assert.equal((await etcd.range('g/a', { revision: at })).kvs[0]!.value.toString(), '2')
      assert.equal((await etcd.range('g/dead', { revision: at })).count, 0)
      await fails(etcd.call('KV/Compact', { revision: at }), 11, gone)
      await fails(
        etcd.call('KV/Compact', { revision: last.header.revision + 1 }),
        11,
        'etcdserver: mvcc: required revision is a future revision',
      )
    })

    it('answers a list of many megabytes', async () => {
      const value = 'v'.repeat(64 * 1024)
      await Promise.all(
        Array.from({ length: 200 }, (_, i) => etcd.put(`big/${String(i).padStart(3, '0')}`, `${i}${value}`)),
      )
      const { kvs, count } = await etcd.call('KV/Range', prefixRange('big/'))
      assert.equal(count, 200)
      assert.deepEqual(
        kvs.map((kv) => Number.parseInt(kv.value.subarray(0, 3).toString(), 10)),
        [...kvs.keys()],
      )
      assert.equal((await etcd.call('KV/DeleteRange', prefixRange('big/'))).deleted, 200)
    })

    it('resolves races on one key to exactly one winner a round', async () => {
      const clients = [etcd, server.connect(), server.connect()]
      let revision = 0
      for (let round = 0; round < 20; round += 1) {
        const attempts = clients.flatMap((client) =>
          [1, 2, 3].map(() => client.txn({ compare: [modIs('race', revision)], success: [put('race', 'x')] })),
        )
        const won = (await Promise.all(attempts)).filter(({ succeeded }) => succeeded)
        assert.equal(won.length, 1)
        revision = won[0]!.header.revision
      }
    })
  })
}
