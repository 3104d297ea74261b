import assert from 'node:assert/strict'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

const b = (text: string): Buffer => Buffer.from(text)

for (const target of TARGETS) {
  describe(`etcd Lease on ${target.name}`, function () {
    this.timeout(60_000)
    let server: TestServer
    let etcd: EtcdClient

    before(async () => {
      server = await target.start()
      etcd = server.connect()
    })
    after(() => server.stop())

    it('grants, lists and revokes', async () => {
      const granted = await etcd.call('Lease/LeaseGrant', { TTL: 600, ID: 1234 })
      assert.deepEqual([granted.ID, granted.TTL, granted.error], [1234, 600, ''])
      await assert.rejects(etcd.call('Lease/LeaseGrant', { TTL: 5, ID: 1234 }), {
        code: 9,
        details: 'etcdserver: lease already exists',
      })
      await assert.rejects(etcd.call('Lease/LeaseGrant', { TTL: 9_000_000_001, ID: 99 }), {
        code: 11,
        details: 'etcdserver: too large lease TTL',
      })
      assert.equal((await etcd.call('Lease/LeaseGrant', { TTL: -1, ID: 1235 })).TTL, 2)
      const { leases } = await etcd.call('Lease/LeaseLeases', {})
      assert.ok(leases.some(({ ID: id }) => id === 1234))
      for (const name of ['b', 'a']) await etcd.put(`rev/${name}`, name, { lease: 1234 })
      const before = await etcd.call('Lease/LeaseTimeToLive', { ID: 1234, keys: true })
      assert.deepEqual([before.grantedTTL, before.keys.map(String).sort()], [600, ['rev/a', 'rev/b']])
      assert.ok(before.TTL > 590 && before.TTL <= 600)
      const watch = etcd.stream('Watch/Watch')
      watch.write({ create_request: { ...prefixRange('rev/'), prev_kv: true } })
      await watch.next()
      const { header } = await etcd.call('Lease/LeaseRevoke', { ID: 1234 })
      const { events } = await watch.next()
      watch.cancel()
      assert.deepEqual(
        events.map(({ type, kv, prev_kv: previous }) => [
          type,
          String(kv.key),
          kv.mod_revision,
          String(previous!.value),
        ]),
        [
          ['Delete', 'rev/a', header.revision, 'a'],
          ['Delete', 'rev/b', header.revision, 'b'],
        ],
      )
      await assert.rejects(etcd.call('Lease/LeaseRevoke', { ID: 1234 }), {
        code: 5,
        details: 'etcdserver: requested lease not found',
      })
      assert.equal((await etcd.call('Lease/LeaseTimeToLive', { ID: 1234 })).TTL, -1)
    })

    it('lets a key go when it is written without the lease', async () => {
      assert.ok((await etcd.call('Lease/LeaseGrant', { TTL: 600 })).ID > 0)
      // Ids that etcd chooses do not fit into a number of the test client.
      const { ID: id } = await etcd.call('Lease/LeaseGrant', { TTL: 600, ID: 2001 })
      await etcd.put('detach', '1', { lease: id })
      assert.equal((await etcd.range('detach')).kvs[0]!.lease, id)
      await etcd.put('detach', '2', { ignore_lease: true })
      assert.equal((await etcd.range('detach')).kvs[0]!.lease, id)
      await etcd.put('detach', '3')
      assert.deepEqual((await etcd.call('Lease/LeaseTimeToLive', { ID: id, keys: true })).keys, [])
      await etcd.call('Lease/LeaseRevoke', { ID: id })
      assert.equal((await etcd.range('detach')).count, 1)
    })

    it('renews a lease, and says 0 for one that is not there', async () => {
      const { ID: id } = await etcd.call('Lease/LeaseGrant', { TTL: 100, ID: 2002 })
      const stream = etcd.stream('Lease/LeaseKeepAlive')
      stream.write({ ID: id })
      stream.write({ ID: 77 })
      const answers = [await stream.next(), await stream.next()]
      stream.end()
      assert.deepEqual(
        answers.map(({ ID: answered, TTL: ttl }) => [answered, ttl]),
        [
          [id, 100],
          [77, 0],
        ],
      )
    })

    it('expires: never early, with deletions that watchers see', async () => {
      const startedAt = performance.now()
      const { ID: id, TTL: ttl } = await etcd.call('Lease/LeaseGrant', { TTL: 2, ID: 2003 })
      assert.equal(ttl, 2)
      const watch = etcd.stream('Watch/Watch')
      watch.write({ create_request: { ...prefixRange('exp/'), prev_kv: true, filters: ['Noput'] } })
      await watch.next()
      await Promise.all(Array.from({ length: 50 }, (_, i) => etcd.put(`exp/${i}`, String(i), { lease: id })))
      await sleep(1500)
      assert.equal((await etcd.call('KV/Range', { ...prefixRange('exp/'), count_only: true })).count, 50)
      const { events } = await watch.next()
      assert.ok(performance.now() - startedAt >= 2000)
      watch.cancel()
      assert.equal(events.length, 50)
      assert.ok(events.every((event) => event.prev_kv !== null))
      assert.equal((await etcd.call('KV/Range', { ...prefixRange('exp/'), count_only: true })).count, 0)
      const compare = { target: 'Lease', result: 'Equal', key: b('exp/1'), lease: 0 }
      assert.equal((await etcd.txn({ compare: [compare] })).succeeded, true)
    })
  })
}
