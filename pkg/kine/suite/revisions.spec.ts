import assert from 'node:assert/strict'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { b, del, get, put } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'revisions', (on) => {
  const head = async (): Promise<number> => (await on.etcd.range('x')).header.revision

  it('go up by one with every change, in the order of commits', async () => {
    const first = await head()
    const clients = Array.from({ length: 8 }, () => on.server.connect())
    let finished = 0
    const revisions: number[] = []
    const writing = clients.map(async (etcd, client) => {
      for (let i = 0; i < 40; i += 1) {
        const newestBefore = finished
        const { header } = await etcd.put(`r/${client}/${i % 5}`, String(i))
        assert.ok(header.revision > newestBefore, `${header.revision} came after ${newestBefore} was answered`)
        finished = Math.max(finished, header.revision)
        revisions.push(header.revision)
      }
    })
    await Promise.all(writing)
    assert.deepEqual(
      revisions.sort((a, z) => a - z),
      revisions.map((_, i) => first + 1 + i),
    )
    assert.equal(await head(), first + revisions.length)
  })

  it('stay when nothing changes, whatever kind of call it was', async () => {
    await on.etcd.put('same', '1')
    const before = await head()
    const calls: ((etcd: EtcdClient) => Promise<Message>)[] = [
      (etcd) => etcd.remove('missing'),
      (etcd) => etcd.txn({}),
      (etcd) => etcd.txn({ success: [get('same'), del('missing')] }),
      (etcd) => etcd.txn({ compare: [{ target: 'Version', key: b('same'), version: 7 }], success: [put('same', '2')] }),
      (etcd) => etcd.call('Lease/LeaseGrant', { TTL: 100, ID: 17 }),
      (etcd) => etcd.call('Lease/LeaseRevoke', { ID: 17 }),
      (etcd) => etcd.call('KV/Compact', { revision: before }),
    ]
    for (const [i, call] of calls.entries()) {
      assert.equal((await call(on.etcd)).header.revision, before, `call ${i}`)
      assert.equal(await head(), before, `after call ${i}`)
    }
  })

  it('of a transaction are one for all its changes', async () => {
    const before = await head()
    const { header } = await on.etcd.txn({ success: [put('t/a', '1'), put('t/b', '1'), del('same')] })
    assert.equal(header.revision, before + 1)
    const { kvs } = await on.etcd.range('t/', { range_end: b('t0') })
    assert.deepEqual(
      kvs.map(({ mod_revision: modified, create_revision: created }) => [modified, created]),
      [
        [before + 1, before + 1],
        [before + 1, before + 1],
      ],
    )
  })
})
