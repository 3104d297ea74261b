import assert from 'node:assert/strict'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b, get, put, rejectsWith, TEXTS, valuesOf } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'compaction', (on) => {
  const revisionOf = (response: Message): number => response.header.revision

  it('keeps what is readable at its revision, by the rule of etcd', async () => {
    const [first, second] = [await on.etcd.put('g/a', '1'), await on.etcd.put('g/a', '2')]
    await on.etcd.put('g/dead', '1')
    const removed = await on.etcd.remove('g/dead')
    const last = await on.etcd.put('g/b', '1')
    const at = revisionOf(removed)
    const done = await on.etcd.call('KV/Compact', { revision: at, physical: true })
    assert.equal(revisionOf(done), revisionOf(last))
    for (const revision of [1, revisionOf(first), revisionOf(second), at - 1]) {
      await rejectsWith(on.etcd.range('g/a', { revision }), 11, TEXTS.compacted)
      await rejectsWith(on.etcd.txn({ success: [get('g/a', { revision })] }), 11, TEXTS.compacted)
    }
    for (const revision of [at, at + 1, 0]) {
      assert.deepEqual(valuesOf(await on.etcd.range('g/a', { revision })), ['2'])
      assert.equal((await on.etcd.range('g/dead', { revision })).count, 0)
    }
    await rejectsWith(on.etcd.call('KV/Compact', { revision: at }), 11, TEXTS.compacted)
    await rejectsWith(on.etcd.call('KV/Compact', { revision: at - 1 }), 11, TEXTS.compacted)
    await rejectsWith(on.etcd.call('KV/Compact', { revision: revisionOf(last) + 1 }), 11, TEXTS.future)
  })

  it('is done once when many ask for it at a time', async () => {
    const { header } = await on.etcd.put('twice', '1')
    const clients = [on.etcd, on.server.connect(), on.server.connect()]
    const asked = clients.map((etcd) => etcd.call('KV/Compact', { revision: header.revision }))
    const outcomes = await Promise.allSettled(asked)
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    assert.equal(refused.length, clients.length - 1)
    for (const { reason } of refused) assert.equal((reason as { details: string }).details, TEXTS.compacted)
  })

  it('leaves reads at a revision exact or refuses them, while it runs', async () => {
    const range = prefixRange('exact/')
    const expected = new Map<number, string[]>()
    const live = new Map<string, string>()
    for (let i = 0; i < 150; i += 1) {
      const name = `exact/${i % 7}`
      const remove = i % 5 === 4 && live.has(name)
      const { header } = remove ? await on.etcd.remove(name) : await on.etcd.put(name, String(i))
      if (remove) live.delete(name)
      else live.set(name, String(i))
      expected.set(
        header.revision,
        [...live].sort(([a], [z]) => (a < z ? -1 : 1)).map(([, value]) => value),
      )
    }
    const revisions = [...expected.keys()]
    let exact = 0
    const reading = revisions.map(async (revision) => {
      try {
        const response = await on.etcd.call('KV/Range', { ...range, revision })
        assert.deepEqual(valuesOf(response), expected.get(revision), `at ${revision}`)
        exact += 1
      } catch (error) {
        assert.equal((error as { details?: string }).details, TEXTS.compacted, String(error))
      }
    })
    for (const revision of [40, 80, 120].map((i) => revisions[i]!)) await on.etcd.call('KV/Compact', { revision })
    await Promise.all(reading)
    assert.ok(exact >= 30, `${exact} reads were answered`)
    for (const revision of revisions.slice(120)) {
      const response = await on.etcd.call('KV/Range', { ...range, revision })
      assert.deepEqual(valuesOf(response), expected.get(revision), `afterwards at ${revision}`)
    }
  })

  it('has one winner a round among three API servers', async () => {
    const servers = [1, 2, 3].map(() => new CompactorOfApiServer(on.server.connect()))
    for (let round = 0; round < 5; round += 1) {
      await on.etcd.put('round', String(round))
      const won = await Promise.all(servers.map((server) => server.round()))
      assert.equal(won.filter(Boolean).length, 1, `round ${round}`)
    }
    const { kvs } = await on.etcd.range('compact_rev_key')
    assert.equal(kvs[0]!.version, 5)
    await rejectsWith(on.etcd.range('round', { revision: Number(kvs[0]!.value.toString()) - 1 }), 11, TEXTS.compacted)
  })
})

/** The loop of k8s.io/apiserver's etcd3 compactor, without its five minutes. */
class CompactorOfApiServer {
  readonly #etcd: EtcdClient
  #version = 0
  #revision = 0

  constructor(etcd: EtcdClient) {
    this.#etcd = etcd
  }

  /** True for the one that compacts. */
  async round(): Promise<boolean> {
    const key = b('compact_rev_key')
    const { succeeded, header, responses } = await this.#etcd.txn({
      compare: [{ target: 'Version', result: 'Equal', key, version: this.#version }],
      success: [put('compact_rev_key', String(this.#revision))],
      failure: [get('compact_rev_key')],
    })
    const compactTo = this.#revision
    this.#revision = header.revision
    if (!succeeded) {
      this.#version = responses[0]!.response_range.kvs[0]!.version
      return false
    }
    this.#version += 1
    if (compactTo > 0) await this.#etcd.call('KV/Compact', { revision: compactTo })
    return true
  }
}
