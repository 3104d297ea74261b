import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { b } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { LONG, TARGETS } from '#pkg/kine/suite/targets.ts'

const KEYS = 16
const CHANGES = 640
const VALUE_BYTES = 32 * 1024
/** Rows go in the background, on a shared database ten seconds after the compaction. */
const GONE_WITHIN_MS = 90_000
const POLL_MS = 250
/** Of what was in use before: one version of forty is left, and what a database keeps ready. */
const LEFT = 0.4

// A shared database gives other instances ten seconds before rows go: that is for the long run.
const targets = TARGETS.filter(({ shared }) => LONG || !shared)

onEach(targets, 'the space of compacted versions', (on) => {
  it('is free afterwards, and used again', async function () {
    this.timeout(3 * GONE_WITHIN_MS)
    await write(on.etcd)
    const full = await sizeOnce(on.etcd, ({ inUse }) => inUse > (CHANGES * VALUE_BYTES) / 2)
    const { header } = await on.etcd.range('x')
    await on.etcd.call('KV/Compact', { revision: header.revision, physical: true })
    const small = await sizeOnce(on.etcd, ({ inUse }) => inUse < full.inUse * LEFT)
    await write(on.etcd)
    const again = await sizeOnce(on.etcd, ({ inUse }) => inUse > (CHANGES * VALUE_BYTES) / 2)
    const allocated = Math.max(full.allocated, small.allocated)
    assert.ok(again.allocated < allocated * 1.3, `${again.allocated} bytes allocated again, ${allocated} before`)
  })
})

interface Size {
  readonly allocated: number
  readonly inUse: number
}

/** The size once it is as wanted: databases tell estimates that are behind, and give space back when asked to. */
async function sizeOnce(etcd: EtcdClient, wanted: (size: Size) => boolean): Promise<Size> {
  const began = performance.now()
  for (;;) {
    const { dbSize: allocated, dbSizeInUse: inUse } = await etcd.call('Maintenance/Status', {})
    if (wanted({ allocated, inUse })) return { allocated, inUse }
    assert.ok(performance.now() - began < GONE_WITHIN_MS, `${inUse} bytes in use, ${allocated} allocated`)
    await etcd.call('Maintenance/Defragment', {})
    await sleep(POLL_MS)
  }
}

/** Versions of a few keys, one after the other of each; of bytes that do not compress. */
async function write(etcd: EtcdClient): Promise<void> {
  const writers = Array.from({ length: KEYS }, async (_, key) => {
    for (let i = 0; i < CHANGES / KEYS; i += 1)
      await etcd.call('KV/Put', { key: b(`space/${key}`), value: randomBytes(VALUE_BYTES) })
  })
  await Promise.all(writers)
}
