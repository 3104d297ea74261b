import assert from 'node:assert/strict'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b, del, get, modIs, put } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'Txn', (on) => {
  it('creates, updates and deletes by mod revision, as the API server does', async () => {
    const create = { compare: [modIs('k', 0)], success: [put('k', '1')] }
    const created = await on.etcd.txn(create)
    assert.equal(created.succeeded, true)
    const refused = await on.etcd.txn({ ...create, failure: [get('k')] })
    assert.equal(refused.succeeded, false)
    assert.equal(refused.header.revision, created.header.revision)
    const seen = refused.responses[0]!.response_range
    assert.equal(seen.kvs[0]!.mod_revision, created.header.revision)
    const revision = seen.kvs[0]!.mod_revision
    const updated = await on.etcd.txn({
      compare: [modIs('k', revision)],
      success: [put('k', '2')],
      failure: [get('k')],
    })
    assert.equal(updated.succeeded, true)
    assert.equal(updated.responses[0]!.response_put.header.revision, updated.header.revision)
    const lost = await on.etcd.txn({ compare: [modIs('k', revision)], success: [del('k')], failure: [get('k')] })
    assert.equal(lost.succeeded, false)
    const gone = await on.etcd.txn({ compare: [modIs('k', updated.header.revision)], success: [del('k')] })
    assert.deepEqual([gone.succeeded, gone.responses[0]!.response_delete_range.deleted], [true, 1])
    const missing = await on.etcd.txn({ compare: [modIs('k', 5)], success: [del('k')], failure: [get('k')] })
    assert.equal(missing.succeeded, false)
    assert.equal(missing.responses[0]!.response_range.kvs.length, 0)
  })

  it('compares every target, over ranges too', async () => {
    await on.etcd.put('cmp/a', 'x')
    const { header } = await on.etcd.put('cmp/a', 'y')
    await on.etcd.put('cmp/b', 'y')
    const holds = async (compare: object): Promise<boolean> =>
      (await on.etcd.txn({ compare: [{ key: b('cmp/a'), ...compare }] })).succeeded
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
    const { header } = await on.etcd.put('m/x', 'old')
    const result = await on.etcd.txn({
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
    const { kvs } = await on.etcd.call('KV/Range', prefixRange('m/'))
    assert.deepEqual(
      kvs.map((kv) => kv.mod_revision),
      [header.revision + 1, header.revision + 1],
    )
  })

  it('nests transactions, deciding all branches before the first change', async () => {
    const before = (await on.etcd.put('n/a', '1')).header.revision
    const inner = {
      compare: [{ target: 'Version', result: 'Equal', key: b('n/new'), version: 0 }],
      success: [put('n/inner', 'yes')],
      failure: [put('n/inner', 'no')],
    }
    const result = await on.etcd.txn({ success: [put('n/new', '1'), { request_txn: inner }] })
    assert.equal(result.header.revision, before + 1)
    const nested = result.responses[1]!.response_txn
    assert.equal(nested.succeeded, true)
    assert.equal(nested.header.revision, 0)
    assert.equal((await on.etcd.range('n/inner')).kvs[0]!.value.toString(), 'yes')
  })

  it('does not move the revision when nothing changes', async () => {
    const before = (await on.etcd.range('x')).header.revision
    await on.etcd.txn({ success: [get('x')] })
    await on.etcd.remove('not-there')
    await on.etcd.txn({ success: [del('not-there'), get('x')] })
    assert.equal((await on.etcd.range('x')).header.revision, before)
  })

  it('resolves races on one key to exactly one winner a round', async () => {
    const clients = [on.etcd, on.server.connect(), on.server.connect()]
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
