import assert from 'node:assert/strict'
import { b, del, get, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { KINE_TARGETS, SHARED_TARGETS, TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'maintenance', (on) => {
  it('tells status and members', async () => {
    const { header } = await on.etcd.put('status', 'x')
    const status = await on.etcd.call('Maintenance/Status', {})
    assert.match(status.version, /^3\.\d+\.\d+$/)
    assert.ok(status.dbSize > 0)
    assert.equal(status.header.revision, header.revision)
    const { members } = await on.etcd.call('Cluster/MemberList', {})
    assert.equal(members.length, 1)
    assert.ok(members[0]!.clientURLs.length > 0)
  })

  it('defragments and goes on', async () => {
    await on.etcd.put('defragment', 'x')
    await on.etcd.call('Maintenance/Defragment', {})
    assert.equal((await on.etcd.range('defragment')).count, 1)
  })

  it('hashes the history up to any revision that is not compacted', async () => {
    const hashAt = (revision: number) => on.etcd.call('Maintenance/HashKV', { revision })
    const first = (await on.etcd.put('hash/a', '1')).header.revision
    await on.etcd.put('hash/b', '1')
    const before = await hashAt(first)
    const last = (await on.etcd.remove('hash/a')).header.revision
    assert.equal((await hashAt(first)).hash, before.hash, 'what came later is not in it')
    const whole = await hashAt(0)
    assert.deepEqual([whole.hash, whole.header.revision], [(await hashAt(last)).hash, last])
    assert.notEqual(whole.hash, before.hash)
    assert.notEqual((await on.etcd.call('Maintenance/Hash', {})).hash, 0)
    await on.etcd.call('KV/Compact', { revision: last - 1, physical: true })
    await rejectsWith(hashAt(first), 11, TEXTS.compacted)
    await rejectsWith(hashAt(last + 1), 11, TEXTS.future)
    assert.equal((await hashAt(0)).compact_revision, last - 1)
  })

  it('refuses to grow while an alarm says that there is no space', async () => {
    await on.etcd.put('alarm/a', '1')
    const noSpace = { memberID: 5, alarm: 'Nospace' }
    const alarm = async (request: object) => (await on.etcd.call('Maintenance/Alarm', request)).alarms
    assert.deepEqual(await alarm({}), [])
    assert.deepEqual(await alarm({ action: 'Activate', ...noSpace }), [noSpace])
    assert.deepEqual(await alarm({ action: 'Activate', ...noSpace }), [noSpace])
    assert.deepEqual(await alarm({}), [noSpace])
    assert.deepEqual(await alarm({ alarm: 'Nospace' }), [noSpace])
    assert.deepEqual(await alarm({ alarm: 'Corrupt' }), [])
    const { errors } = await on.etcd.call('Maintenance/Status', {})
    // How many blanks Go puts there depends on the build, on purpose.
    assert.deepEqual(
      errors.map((text) => text.replaceAll(/ +/g, ' ')),
      ['memberID:5 alarm:NOSPACE'],
    )
    await rejectsWith(on.etcd.put('alarm/a', '2'), 8, TEXTS.noSpace)
    await rejectsWith(on.etcd.put('alarm/a', '2', { lease: 4711 }), 8, TEXTS.noSpace)
    await rejectsWith(on.etcd.txn({ failure: [put('alarm/a', '2')] }), 8, TEXTS.noSpace)
    const nested = { request_txn: { success: [put('alarm/a', '2')] } }
    await rejectsWith(on.etcd.txn({ success: [nested] }), 8, TEXTS.noSpace)
    await rejectsWith(on.etcd.call('Lease/LeaseGrant', { TTL: 100 }), 8, TEXTS.noSpace)
    await rejectsWith(on.etcd.put('', '2'), 3, 'etcdserver: key is not provided')
    assert.equal((await on.etcd.txn({ success: [get('alarm/a'), del('alarm/b')] })).succeeded, true)
    const { header } = await on.etcd.remove('alarm/a')
    await on.etcd.call('KV/Compact', { revision: header.revision })
    assert.deepEqual(await alarm({ action: 'Deactivate', memberID: 6, alarm: 'Nospace' }), [])
    assert.deepEqual(await alarm({ action: 'Deactivate', ...noSpace }), [noSpace])
    assert.deepEqual(await alarm({}), [])
    await on.etcd.put('alarm/a', '2')
  })

  it('refuses every change while an alarm says that the data is corrupt', async () => {
    await on.etcd.put('corrupt', '1')
    const corrupt = { memberID: 5, alarm: 'Corrupt' }
    await on.etcd.call('Maintenance/Alarm', { action: 'Activate', ...corrupt })
    const text = 'etcdserver: corrupt cluster'
    for (const change of [
      () => on.etcd.put('corrupt', '2'),
      () => on.etcd.remove('corrupt'),
      () => on.etcd.txn({ success: [del('corrupt')] }),
      () => on.etcd.call('Lease/LeaseGrant', { TTL: 100 }),
      () => on.etcd.call('Lease/LeaseRevoke', { ID: 100 }),
      () => on.etcd.call('KV/Compact', { revision: 1 }),
    ]) {
      await rejectsWith(change(), 15, text)
    }
    assert.equal((await on.etcd.range('corrupt')).count, 1)
    assert.equal((await on.etcd.txn({ success: [get('corrupt')] })).succeeded, true)
    await on.etcd.call('Maintenance/Alarm', { action: 'Deactivate', ...corrupt })
    assert.equal((await on.etcd.remove('corrupt')).deleted, 1)
  })
})

for (const target of KINE_TARGETS) {
  it(`HashKV of ${target.name} stays over a restart and whatever has been pruned`, async () => {
    await using store = await target.create()
    const first = await store.serve()
    const before = first.connect()
    for (let i = 0; i < 60; i += 1) await before.put(`k/${i % 11}`, String(i))
    await before.remove('k/3')
    await before.call('Lease/LeaseGrant', { TTL: 1000, ID: 3 })
    const { header } = await before.put('k/leased', 'x', { lease: 3 })
    await before.call('KV/Compact', { revision: header.revision - 20 })
    const { hash } = await before.call('Maintenance/HashKV', { revision: header.revision })
    await before.put('later', 'x')
    await first.stop()
    const after = (await store.serve()).connect()
    const again = await after.call('Maintenance/HashKV', { revision: header.revision })
    assert.deepEqual([again.hash, again.compact_revision], [hash, header.revision - 20])
    assert.equal(again.header.revision, header.revision + 1)
  })
}

for (const target of SHARED_TARGETS) {
  it(`HashKV is the same on two instances over one ${target.name}`, async () => {
    await using store = await target.create()
    const [a, c] = [(await store.serve()).connect(), (await store.serve()).connect()]
    const writing = [a, c].flatMap((etcd, i) =>
      Array.from({ length: 40 }, (_, n) => etcd.put(`k/${i}/${n % 7}`, `${n}`)),
    )
    const revisions = (await Promise.all(writing)).map(({ header }) => header.revision).sort((x, y) => x - y)
    await c.call('KV/Compact', { revision: revisions[30]! })
    for (const revision of [revisions[30]!, revisions[50]!, revisions.at(-1)!]) {
      const hashes = await Promise.all([a, c].map((etcd) => etcd.call('Maintenance/HashKV', { revision })))
      assert.equal(hashes[0]!.hash, hashes[1]!.hash, `at ${revision}`)
      assert.equal(hashes[0]!.compact_revision, revisions[30])
    }
    const range = { key: b('k/'), range_end: b('k0') }
    assert.deepEqual((await a.call('KV/Range', range)).kvs, (await c.call('KV/Range', range)).kvs)
  })
}
