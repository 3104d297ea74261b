import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'

/** Lease ids that use all 64 bits, and one that does not. */
export const leases = { long: '7587870123456789012', short: '77' } as const

/**
 * A store as a cluster leaves it: lives that end and begin again, several changes in one revision, leases, binary keys and
 * values, and a compaction in between.
 */
export async function fill(client: EtcdClient, changes: number): Promise<void> {
  await client.call('Lease/LeaseGrant', { ID: leases.long, TTL: 100_000 })
  await client.call('Lease/LeaseGrant', { ID: leases.short, TTL: 3600 })
  for (let i = 0; i < changes; i += 1) {
    const key = `/registry/pods/default/pod-${i % Math.ceil(changes / 5)}`
    if (i % 23 === 7) await client.remove(key)
    else await client.put(key, `value ${i} `.repeat(1 + (i % 40)), i % 11 === 0 ? { lease: leases.long } : {})
    if (i === Math.floor(changes / 3)) await compact(client)
  }
  const put = (key: Buffer | string, value: string) => ({
    request_put: { key: Buffer.from(key as string), value: Buffer.from(value, 'latin1'), lease: leases.short },
  })
  await client.txn({ success: [put('/b/1', '\0\xff'), put('/b/2', ''), put('/b/3', 'x'.repeat(300_000))] })
  await client.call('KV/DeleteRange', { key: Buffer.from('/b/1'), range_end: Buffer.from('/b/3') })
  await client.call('KV/Put', { key: Buffer.from([47, 0, 255, 1]), value: Buffer.from('binary key') })
}

async function compact(client: EtcdClient): Promise<void> {
  const { header } = await client.range('nothing')
  await client.call('KV/Compact', { revision: header.revision, physical: true })
}

/** Everything that a client can see of a store, but the identity of the server. */
export async function see(client: EtcdClient): Promise<unknown> {
  const all = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
  const { header, kvs } = await client.call('KV/Range', all)
  const { leases: granted } = await client.call('Lease/LeaseLeases', {})
  const ids = granted.map(({ ID }) => String(ID)).toSorted()
  return {
    revision: header.revision,
    kvs,
    leases: ids,
    compacted: await compactedBelow(client, header.revision),
    history: await history(client, header.revision),
  }
}

/** The lowest revision that can be read. */
async function compactedBelow(client: EtcdClient, newest: number): Promise<number> {
  let [low, high] = [1, newest]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const readable = await client.range('nothing', { revision: middle }).then(
      () => true,
      () => false,
    )
    if (readable) high = middle
    else low = middle + 1
  }
  return low
}

/** Every event from the compaction on, each with what was before it. */
async function history(client: EtcdClient, newest: number): Promise<unknown> {
  const watch = client.stream('Watch/Watch')
  const start_revision = await compactedBelow(client, newest)
  const all = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
  watch.write({ create_request: { ...all, start_revision, prev_kv: true } })
  const events: unknown[] = []
  for (let last = 0; last < newest;) {
    const message = await watch.next()
    events.push(...message.events)
    last = message.events.at(-1)?.kv.mod_revision ?? last
  }
  watch.cancel()
  return events
}
