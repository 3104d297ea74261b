import assert from 'node:assert/strict'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { KeyValueMessage } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { b, put, rejectsWith, TEXTS } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

const KEYS = 10_000
const PAGE = 500
const RANGE = prefixRange('page/')
const NAMES = Array.from({ length: KEYS }, (_, i) => `page/${String(i).padStart(6, '0')}`)

onEach(TARGETS, 'a list of 10,000 keys', (on) => {
  before(async function () {
    this.timeout(120_000)
    const value = 'v'.repeat(1000)
    for (let from = 0; from < KEYS; from += 120) {
      await on.etcd.txn({ success: NAMES.slice(from, from + 120).map((name) => put(name, value)) })
    }
  })

  it('is the same page by page at its revision, whatever is written meanwhile', async () => {
    const { header, count } = await on.etcd.call('KV/Range', { ...RANGE, count_only: true })
    assert.equal(count, KEYS)
    const writing = new AbortController()
    const writers = [1, 2, 3].map((seed) => scribble(on.server.connect(), seed, writing.signal))
    try {
      const { kvs, pages } = await readPages(on.etcd, header.revision)
      assert.deepEqual(
        kvs.map(({ key }) => key.toString()),
        NAMES,
      )
      assert.ok(kvs.every(({ mod_revision: revision, value }) => revision <= header.revision && value.length === 1000))
      assert.equal(pages, KEYS / PAGE)
      const whole = await on.etcd.call('KV/Range', { ...RANGE, revision: header.revision })
      assert.deepEqual(whole.kvs, kvs)
    } finally {
      writing.abort()
      await Promise.all(writers)
    }
  })

  it('is told to be compacted in the middle, never cut short', async () => {
    const { header } = await on.etcd.put('elsewhere', '1')
    await on.etcd.call('KV/DeleteRange', { key: b('page/005000'), range_end: b('page/006000') })
    const first = await on.etcd.call('KV/Range', { ...RANGE, limit: PAGE, revision: header.revision })
    const before = await on.etcd.call('KV/Range', { ...RANGE, revision: header.revision })
    await on.etcd.call('KV/Compact', { revision: header.revision })
    const { kvs } = await readPages(on.etcd, header.revision)
    assert.equal(kvs.length, before.count)
    const next = first.kvs.at(-1)!.key
    const after = { ...RANGE, key: Buffer.concat([next, Buffer.from([0])]), limit: PAGE, revision: header.revision }
    assert.equal((await on.etcd.call('KV/Range', after)).count, before.count - PAGE)
    await on.etcd.call('KV/Compact', { revision: header.revision + 1, physical: true })
    await rejectsWith(on.etcd.call('KV/Range', after), 11, TEXTS.compacted)
  })
})

/** As the API server does: the next page begins behind the last key, at the revision of the first. */
async function readPages(
  etcd: EtcdClient,
  revision: number,
): Promise<{ readonly kvs: readonly KeyValueMessage[]; readonly pages: number }> {
  const kvs: KeyValueMessage[] = []
  let key = RANGE.key
  let total: number | undefined
  for (let pages = 1; ; pages += 1) {
    const page = await etcd.call('KV/Range', { ...RANGE, key, limit: PAGE, revision })
    total ??= page.count
    assert.equal(page.count, total - kvs.length, 'keys from here to the end')
    kvs.push(...page.kvs)
    assert.equal(page.more, kvs.length < total)
    if (!page.more) return { kvs, pages }
    key = Buffer.concat([page.kvs.at(-1)!.key, Buffer.from([0])])
  }
}

/** Changes, deletes and creates keys of the list until told to stop. */
async function scribble(etcd: EtcdClient, seed: number, signal: AbortSignal): Promise<void> {
  const random = new Random(seed)
  while (!signal.aborted) {
    const name = random.pick(NAMES)
    if (random.oneIn(3)) await etcd.remove(name)
    else await etcd.put(random.oneIn(3) ? `${name}-new` : name, 'changed')
  }
}
