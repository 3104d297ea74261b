import assert from 'node:assert/strict'
import { b, get, modIs, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { createWatch } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

/** As the API server passes them on from its users, in a resourceVersion or a limit. */
const HUGE = ['9223372036854775807', '9007199254740992'] as unknown as readonly number[]
const LEAST = '-9223372036854775808' as unknown as number

onEach(TARGETS, 'numbers at the ends of int64', (on) => {
  it('are revisions of the future', async () => {
    await on.etcd.put('x', '1')
    for (const revision of HUGE) {
      await rejectsWith(on.etcd.range('x', { revision }), 11, TEXTS.future)
      await rejectsWith(on.etcd.txn({ success: [get('x', { revision })] }), 11, TEXTS.future)
      await rejectsWith(on.etcd.call('KV/Compact', { revision }), 11, TEXTS.future)
    }
    await rejectsWith(on.etcd.call('KV/Compact', { revision: LEAST }), 11, TEXTS.compacted)
    assert.equal((await on.etcd.range('x', { revision: LEAST })).count, 1)
  })

  it('are limits and bounds that nothing reaches', async () => {
    const { header } = await on.etcd.put('x', '1')
    for (const limit of HUGE) {
      const found = await on.etcd.range('x', { limit, max_mod_revision: limit, max_create_revision: limit })
      assert.deepEqual([found.kvs.length, found.more], [1, false])
      assert.deepEqual((await on.etcd.range('x', { min_mod_revision: limit })).kvs, [])
    }
    assert.equal((await on.etcd.range('x', { limit: LEAST })).kvs[0]!.mod_revision, header.revision)
  })

  it('are compared', async () => {
    const { header } = await on.etcd.put('x', '1')
    const is = (result: string, revision: number): object => ({ ...modIs('x', revision), result })
    for (const revision of HUGE) {
      for (const [compare, holds] of [
        [is('Equal', revision), false],
        [is('Less', revision), true],
        [is('Greater', LEAST), true],
        [{ target: 'Version', result: 'Less', key: b('x'), version: revision }, true],
      ] as const) {
        const { succeeded } = await on.etcd.txn({ compare: [compare], failure: [get('x')] })
        assert.equal(succeeded, holds, JSON.stringify(compare))
      }
    }
    assert.equal((await on.etcd.txn({ success: [put('x', '2')] })).header.revision, header.revision + 1)
  })

  it('start a watch that waits, and leave the others of its stream alone', async () => {
    const stream = on.etcd.stream('Watch/Watch')
    const first = await createWatch(stream, { key: b('x') })
    for (const revision of HUGE) await createWatch(stream, { key: b('x'), start_revision: revision })
    stream.write({ create_request: { key: b('x'), start_revision: LEAST } })
    assert.equal((await stream.next()).canceled, true)
    const { header } = await on.etcd.put('x', '3')
    const { watch_id: id, events } = await stream.next()
    assert.deepEqual([id, events[0]!.kv.mod_revision], [first.watch_id, header.revision])
    await on.etcd.put('x', '4')
    assert.equal((await stream.next()).watch_id, first.watch_id)
    stream.cancel()
  })
})
