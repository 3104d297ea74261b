import assert from 'node:assert/strict'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { eventsOf, openWatch, showEvent } from '#pkg/kine/testing/watching.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

const EVERYTHING = { key: Buffer.from([0]), range_end: Buffer.from([0]) }

for (const target of TARGETS) {
  describe(`a restart of ${target.name}`, () => {
    it('keeps objects, revision, history, compaction and identity', async () => {
      await using store = await target.create()
      const first = await store.serve()
      const before = first.connect()
      await before.put('a', '1')
      const middle = (await before.put('a', '2')).header.revision
      await before.put('b', 'x')
      await before.call('KV/Compact', { revision: middle })
      await before.remove('b')
      const { header } = await before.range('a')
      await first.stop()

      const after = (await store.serve()).connect()
      const { header: now, kvs } = await after.range('a')
      assert.deepEqual({ ...now, raft_term: 0 }, { ...header, raft_term: 0 })
      assert.deepEqual([kvs[0]!.version, kvs[0]!.value.toString(), kvs[0]!.mod_revision], [2, '2', middle])
      assert.equal((await after.range('b', { revision: middle + 1 })).kvs[0]!.value.toString(), 'x')
      await rejectsWith(after.range('a', { revision: middle - 1 }), 11, TEXTS.compacted)
      await rejectsWith(after.call('KV/Compact', { revision: middle }), 11, TEXTS.compacted)
      const history = await openWatch(after, { ...EVERYTHING, start_revision: middle + 1, prev_kv: true })
      assert.deepEqual((await eventsOf(history, 2)).map(showEvent), ['p b x', 'd b  x'])
      assert.equal((await after.put('c', '1')).header.revision, header.revision + 1)
    })

    it('keeps leases and their keys, and does not end them early', async () => {
      await using store = await target.create()
      const first = await store.serve()
      const before = first.connect()
      await before.call('Lease/LeaseGrant', { TTL: 1000, ID: 7 })
      await before.put('long', 'l', { lease: 7 })
      await before.call('Lease/LeaseGrant', { TTL: 1000, ID: 8 })
      await before.call('Lease/LeaseRevoke', { ID: 8 })
      const grantedAt = performance.now()
      await before.call('Lease/LeaseGrant', { TTL: 3, ID: 9 })
      await before.put('short', 's', { lease: 9 })
      await first.stop()

      const after = (await store.serve()).connect()
      const watch = await openWatch(after, { ...prefixRange('short'), prev_kv: true })
      const long = await after.call('Lease/LeaseTimeToLive', { ID: 7, keys: true })
      assert.deepEqual([long.grantedTTL, long.keys.map(String)], [1000, ['long']])
      assert.ok(long.TTL > 900 && long.TTL <= 1000)
      assert.equal((await after.call('Lease/LeaseTimeToLive', { ID: 8 })).TTL, -1)
      assert.deepEqual((await eventsOf(watch, 1)).map(showEvent), ['d short  s'])
      assert.ok(performance.now() - grantedAt >= 3000)
      assert.equal((await after.range('long')).count, 1)
    })
  })
}
