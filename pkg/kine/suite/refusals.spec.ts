import assert from 'node:assert/strict'
import { b, del, get, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'refusals', (on) => {
  it('wants a key', async () => {
    const text = 'etcdserver: key is not provided'
    await rejectsWith(on.etcd.range(''), 3, text)
    await rejectsWith(on.etcd.put('', 'x'), 3, text)
    await rejectsWith(on.etcd.remove(''), 3, text)
    await rejectsWith(on.etcd.txn({ success: [put('', 'x')] }), 3, text)
    await rejectsWith(on.etcd.txn({ failure: [get('')] }), 3, text)
    await rejectsWith(on.etcd.txn({ compare: [{ target: 'Mod', key: b('') }] }), 3, text)
    await rejectsWith(on.etcd.txn({ success: [{}] }), 3, 'etcdserver: key not found')
  })

  it('wants each key written once by a transaction', async () => {
    const refused = [
      [put('d', '1'), put('d', '2')],
      [put('d', '1'), del('d')],
      [del('c', { range_end: b('e') }), put('d', '1')],
      [put('d', '1'), { request_txn: { success: [put('d', '2')] } }],
      [put('d', '1'), { request_txn: { failure: [put('d', '2')] } }],
      [{ request_txn: { success: [put('d', '1')] } }, { request_txn: { success: [put('d', '2')] } }],
    ]
    for (const success of refused) {
      await rejectsWith(on.etcd.txn({ success }), 3, TEXTS.duplicateKey)
      await rejectsWith(on.etcd.txn({ failure: success }), 3, TEXTS.duplicateKey)
    }
    const allowed = [
      [del('d'), del('d')],
      [put('d', '1'), del('e', { range_end: b('f') })],
      [{ request_txn: { success: [put('d', '1')], failure: [put('d', '2')] } }],
    ]
    for (const success of allowed) assert.equal((await on.etcd.txn({ success })).succeeded, true)
    assert.equal((await on.etcd.txn({ success: [put('d', '1')], failure: [put('d', '2')] })).succeeded, true)
  })

  it('takes 128 operations and no more', async () => {
    const many = Array.from({ length: 129 }, (_, i) => put(`many/${i}`, 'x'))
    await rejectsWith(on.etcd.txn({ success: many }), 3, TEXTS.tooManyOps)
    await rejectsWith(on.etcd.txn({ failure: many }), 3, TEXTS.tooManyOps)
    const compare = many.map((_, i) => ({ target: 'Version', key: b(`c/${i}`), version: 0 }))
    await rejectsWith(on.etcd.txn({ compare }), 3, TEXTS.tooManyOps)
    await rejectsWith(on.etcd.txn({ success: [{ request_txn: { success: many.slice(1) } }] }), 3, TEXTS.tooManyOps)
    assert.equal((await on.etcd.txn({ success: many.slice(1) })).responses.length, 128)
    assert.equal((await on.etcd.txn({ compare: compare.slice(1) })).succeeded, true)
    const nested = { request_txn: { success: many.slice(2) } }
    assert.equal((await on.etcd.txn({ success: [nested] })).responses[0]!.response_txn.responses.length, 127)
  })

  it('tells unknown leases and revisions that do not exist', async () => {
    await rejectsWith(on.etcd.put('lease', 'x', { lease: 4711 }), 5, TEXTS.leaseNotFound)
    await rejectsWith(on.etcd.txn({ success: [put('lease', 'x', { lease: 4711 })] }), 5, TEXTS.leaseNotFound)
    assert.equal((await on.etcd.range('lease')).count, 0)
    const revision = (await on.etcd.range('d')).header.revision + 1
    await rejectsWith(on.etcd.range('d', { revision }), 11, TEXTS.future)
    await rejectsWith(on.etcd.txn({ success: [get('d', { revision })] }), 11, TEXTS.future)
    await rejectsWith(on.etcd.call('KV/Compact', { revision }), 11, TEXTS.future)
  })

  it('changes nothing when one operation of a transaction is refused', async () => {
    const before = (await on.etcd.range('x')).header.revision
    const success = [put('part/a', '1'), put('part/b', '1', { lease: 4711 }), put('part/c', '1')]
    await rejectsWith(on.etcd.txn({ success }), 5, TEXTS.leaseNotFound)
    const late = [put('part/a', '1'), get('part/a', { revision: before + 5 })]
    await rejectsWith(on.etcd.txn({ success: late }), 11, TEXTS.future)
    const { header, count } = await on.etcd.range('part/', { range_end: b('part0') })
    assert.deepEqual([header.revision, count], [before, 0])
  })
})
