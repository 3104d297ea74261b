import assert from 'node:assert/strict'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { KeyValueMessage } from '#pkg/kine/testing/etcd-messages.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { del, put } from '#pkg/kine/testing/requests.ts'
import { watchResuming } from '#pkg/kine/testing/resuming-watch.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'
import type { TestTarget } from '#pkg/kine/testing/targets.ts'
import { WatchRecorder } from '#pkg/kine/testing/watch-recorder.ts'
import { KINE_TARGETS, SHARED_TARGETS, TARGETS } from '#pkg/kine/suite/targets.ts'

const RANGE = prefixRange('w/')
const WATCHERS = 6
const WRITERS = 6
const CONNECTIONS = 4
/** Wait while the server is away. */
const RETRY_MS = 20
const NEVER = Number.POSITIVE_INFINITY

describe('watches that are cut again and again', function () {
  this.timeout(120_000)

  for (const target of TARGETS) {
    it(`miss nothing on ${target.name}, while it is compacted`, async () => {
      await using store = await target.create()
      const server = await store.serve()
      await watchAndWrite(target, { servers: () => [server], writes: 600, compact: true })
    })
  }

  for (const target of SHARED_TARGETS) {
    it(`miss nothing on ${target.name}, between two instances that both write`, async () => {
      await using store = await target.create()
      const servers = [await store.serve(), await store.serve()]
      await watchAndWrite(target, { servers: () => servers, writes: 600, compact: true })
    })
  }

  // etcd too keeps its promises over a restart, but killing and starting it takes seconds here.
  for (const target of KINE_TARGETS) {
    it(`miss nothing on ${target.name}, over restarts of the server`, async () => {
      await using store = await target.create()
      let server = await store.serve()
      let restarting = true
      const restarts = (async () => {
        for (let i = 0; i < 3; i += 1) {
          await sleep(400)
          await server.stop()
          server = await store.serve()
        }
        restarting = false
      })()
      await watchAndWrite(target, { servers: () => [server], writes: NEVER, stop: () => !restarting })
      await restarts
    })
  }
})

interface Plan {
  /** Those that serve the store now. */
  readonly servers: () => readonly TestServer[]
  readonly writes: number
  readonly compact?: boolean
  readonly stop?: () => boolean
}

/** Writers change a few keys at random; every watcher must have seen one and the same history at the end. */
async function watchAndWrite(target: TestTarget, { servers, writes, compact, stop }: Plan): Promise<void> {
  const seed = Math.floor(Math.random() * 1e6)
  const random = new Random(seed)
  const pools = new Map<TestServer, readonly EtcdClient[]>()
  const connect = (): EtcdClient => {
    const server = random.pick(servers())
    const pool = pools.get(server) ?? Array.from({ length: CONNECTIONS }, () => server.connect())
    pools.set(server, pool)
    return random.pick(pool)
  }
  const from = (await connect().range('x')).header.revision + 1
  const recorders = Array.from({ length: WATCHERS }, () => new WatchRecorder({ from, strictHeaders: target.kine }))
  let last = NEVER
  const watching = recorders.map((recorder, i) =>
    watchResuming(RANGE, { connect, recorder, random: new Random(seed + i) }, () => recorder.next > last),
  )
  const watched = Promise.all(watching)
  // Looked at when the writers are through; a failure before that must not count as unhandled.
  watched.catch(() => undefined)
  let left = writes
  const writers = Array.from({ length: WRITERS }, async (_, i) => {
    const choices = new Random(seed + 100 + i)
    for (let etcd = connect(); (left -= 1) >= 0 && stop?.() !== true;) {
      await change(etcd, choices).catch(() => sleep(RETRY_MS))
      if (choices.oneIn(20) || stop !== undefined) etcd = connect()
      // Whoever was there from the beginning must be able to go on: behind all watchers only.
      if (compact === true && choices.oneIn(60)) await compactBehind(etcd, recorders)
    }
  })
  try {
    await Promise.all(writers)
    const { header } = await connect().put('w/end', 'end')
    last = header.revision
    await watched
    const { kvs } = await connect().call('KV/Range', RANGE)
    for (const recorder of recorders) {
      assert.deepEqual(recorder.events, recorders[0]!.events, 'all have seen the same')
      assert.deepEqual([...recorder.state.values()].sort(byKey), kvs)
    }
    const revisions = new Set(recorders[0]!.events.map(({ kv }) => kv.mod_revision))
    assert.equal(revisions.size, last - from + 1, 'every revision was a change of these keys')
  } catch (error) {
    last = 0
    throw new Error(`seed ${seed}`, { cause: error })
  }
}

const byKey = (a: KeyValueMessage, z: KeyValueMessage): number => a.key.compare(z.key)

async function change(etcd: EtcdClient, random: Random): Promise<void> {
  const name = (): string => `w/${random.below(20)}`
  const value = `v${random.below(1e6)}`
  // A deletion of nothing is no revision; so each comes with a put.
  if (random.oneIn(3)) await etcd.txn({ success: [del(`w/a${random.below(5)}`), put(name(), value)] })
  else if (random.oneIn(4)) await etcd.txn({ success: [put(name(), value), put(`w/a${random.below(5)}`, value)] })
  else await etcd.put(name(), value)
}

async function compactBehind(etcd: EtcdClient, recorders: readonly WatchRecorder[]): Promise<void> {
  // At the compacted revision itself the value before a change may be gone; so one below what is still wanted.
  const revision = Math.min(...recorders.map(({ next }) => next)) - 1
  await etcd.call('KV/Compact', { revision }).catch(() => undefined)
}
