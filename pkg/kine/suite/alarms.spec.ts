import assert from 'node:assert/strict'
import { eventually } from '#pkg/kine/testing/eventually.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { SHARED_TARGETS, TARGETS } from '#pkg/kine/suite/targets.ts'

const FULL = { memberID: 5, alarm: 'Nospace' }

const alarms = async (etcd: EtcdClient, request: object = {}): Promise<unknown> =>
  (await etcd.call('Maintenance/Alarm', request)).alarms

for (const target of TARGETS) {
  it(`an alarm of ${target.name} stays over a restart, until it is disarmed`, async () => {
    await using store = await target.create()
    const first = await store.serve()
    const before = first.connect()
    const { member_id: memberID } = (await before.range('x')).header
    const own = { memberID, alarm: 'Nospace' }
    for (const alarm of [FULL, own]) await before.call('Maintenance/Alarm', { action: 'Activate', ...alarm })
    await first.stop()
    const second = await store.serve()
    const after = second.connect()
    assert.deepEqual(new Set((await alarms(after)) as object[]), new Set([FULL, own]))
    await rejectsWith(after.put('a', '1'), 8, TEXTS.noSpace)
    assert.deepEqual(await alarms(after, { action: 'Deactivate', ...FULL }), [FULL])
    await rejectsWith(after.put('a', '1'), 8, TEXTS.noSpace)
    assert.deepEqual(await alarms(after, { action: 'Deactivate', ...own }), [own])
    await after.put('a', '1')
    await second.stop()
    assert.deepEqual(await alarms((await store.serve()).connect()), [])
  })
}

for (const target of SHARED_TARGETS) {
  it(`an alarm on one instance over one ${target.name} holds for the other, and either disarms it`, async () => {
    await using store = await target.create()
    const [a, b] = [(await store.serve()).connect(), (await store.serve()).connect()]
    await alarms(a, { action: 'Activate', ...FULL })
    await eventually('refused', async () => (await b.call('Maintenance/Status', {})).errors.length === 1)
    await rejectsWith(b.put('a', '1'), 8, TEXTS.noSpace)
    assert.deepEqual(await alarms(b), [FULL])
    assert.deepEqual(await alarms(b, { action: 'Deactivate', ...FULL }), [FULL])
    assert.deepEqual(await alarms(a), [])
    await a.put('a', '1')
  })
}
