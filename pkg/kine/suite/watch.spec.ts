import assert from 'node:assert/strict'
import type { EtcdClient, EventMessage, Message, TestStream } from '#pkg/kine/testing/etcd-client.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

const b = (text: string): Buffer => Buffer.from(text)
/** `p` or `d`, key, value, previous value. */
const show = ({ type, kv, prev_kv: previous }: EventMessage): string =>
  [type === 'Delete' ? 'd' : 'p', kv.key, kv.value, ...(previous === null ? [] : [previous.value])]
    .map(String)
    .join(' ')

for (const target of TARGETS) {
  describe(`etcd Watch on ${target.name}`, function () {
    this.timeout(60_000)
    let server: TestServer
    let etcd: EtcdClient
    const streams: TestStream[] = []

    const open = (): TestStream => {
      const stream = etcd.stream('Watch/Watch')
      streams.push(stream)
      return stream
    }
    const watch = async (stream: TestStream, request: object): Promise<Message> => {
      stream.write({ create_request: request })
      const created = await stream.next()
      assert.equal(created.created, true)
      return created
    }
    const eventsOf = async (stream: TestStream, count: number): Promise<EventMessage[]> => {
      const events: EventMessage[] = []
      while (events.length < count) events.push(...(await stream.next()).events)
      return events
    }
    const head = async (): Promise<number> => (await etcd.range('x')).header.revision

    before(async () => {
      server = await target.start()
      etcd = server.connect()
    })
    afterEach(() => {
      for (const stream of streams.splice(0)) stream.cancel()
    })
    after(() => server.stop())

    it('tells creation, change and deletion with the previous value', async () => {
      const stream = open()
      await watch(stream, { ...prefixRange('a/'), prev_kv: true })
      await etcd.put('a/1', 'one')
      await etcd.put('b/1', 'unwatched')
      await etcd.put('a/1', 'two')
      const { header } = await etcd.remove('a/1')
      await etcd.put('a/1', 'three')
      const events = await eventsOf(stream, 4)
      assert.deepEqual(events.map(show), ['p a/1 one', 'p a/1 two one', 'd a/1  two', 'p a/1 three'])
      const [created, updated, deleted] = events
      assert.equal(created!.kv.create_revision, created!.kv.mod_revision)
      assert.deepEqual([updated!.kv.create_revision, updated!.kv.version], [created!.kv.mod_revision, 2])
      assert.deepEqual([deleted!.kv.mod_revision, deleted!.kv.create_revision], [header.revision, 0])
    })

    it('keeps the events of one transaction together and in its order', async () => {
      const stream = open()
      await watch(stream, prefixRange('t/'))
      const ops = ['c', 'a', 'b'].map((name) => ({ request_put: { key: b(`t/${name}`), value: b('x') } }))
      const { header } = await etcd.txn({ success: ops })
      const response = await stream.next()
      assert.deepEqual(response.events.map(show), ['p t/c x', 'p t/a x', 'p t/b x'])
      assert.ok(response.events.every(({ kv }) => kv.mod_revision === header.revision))
      assert.equal(response.header.revision, header.revision)
    })

    it('goes back in time, from any revision that is not compacted', async () => {
      const first = (await etcd.put('h/a', '1')).header.revision
      await etcd.put('h/a', '2')
      await etcd.remove('h/a')
      const last = (await etcd.put('h/b', '3')).header.revision
      const stream = open()
      await watch(stream, { ...prefixRange('h/'), start_revision: first + 1, prev_kv: true })
      assert.deepEqual((await eventsOf(stream, 3)).map(show), ['p h/a 2 1', 'd h/a  2', 'p h/b 3'])
      await etcd.put('h/c', '4')
      assert.deepEqual((await eventsOf(stream, 1)).map(show), ['p h/c 4'])
      const later = open()
      await watch(later, { ...prefixRange('h/'), start_revision: last + 3 })
      await etcd.put('h/d', 'too early')
      await etcd.put('h/e', 'in time')
      assert.deepEqual((await eventsOf(later, 1)).map(show), ['p h/e in time'])
    })

    it('keeps previous values over a compaction and refuses what is before it', async () => {
      const first = (await etcd.put('c/a', 'old')).header.revision
      await etcd.put('c/fill', 'x')
      const at = (await etcd.put('c/fill', 'y')).header.revision
      await etcd.put('c/a', 'new')
      await etcd.call('KV/Compact', { revision: at, physical: true })
      const stream = open()
      await watch(stream, { ...prefixRange('c/'), start_revision: at + 1, prev_kv: true })
      assert.deepEqual((await eventsOf(stream, 1)).map(show), ['p c/a new old'])
      const edge = open()
      await watch(edge, { ...prefixRange('c/'), start_revision: at, prev_kv: true })
      assert.deepEqual((await eventsOf(edge, 2)).map(show), ['p c/fill y', 'p c/a new old'])
      for (const revision of [first, at - 1]) {
        const gone = open()
        await watch(gone, { ...prefixRange('c/'), start_revision: revision })
        const canceled = await gone.next()
        assert.deepEqual([canceled.canceled, canceled.compact_revision, canceled.events], [true, at, []])
      }
    })

    it('answers creates in their order, with ids of its own or of the client', async () => {
      const stream = open()
      for (const id of [0, 7, 0]) stream.write({ create_request: { key: b('ids'), watch_id: id } })
      stream.write({ create_request: { key: b('ids'), watch_id: 7 } })
      stream.write({ create_request: { key: b('z'), range_end: b('a') } })
      stream.write({ create_request: { key: b('ids'), start_revision: -1 } })
      const answers = []
      for (let i = 0; i < 6; i += 1) {
        const { watch_id: id, created, canceled, cancel_reason: reason } = await stream.next()
        assert.equal(created, true)
        answers.push([id, canceled, reason])
      }
      assert.deepEqual(answers, [
        [0, false, ''],
        [7, false, ''],
        [1, false, ''],
        [-1, true, 'mvcc: duplicate watch ID provided on the WatchStream'],
        [-1, true, 'mvcc: watcher range is empty'],
        [-1, true, 'etcdserver: mvcc: required revision has been compacted'],
      ])
    })

    it('filters and cancels', async () => {
      const stream = open()
      const noPuts = await watch(stream, { key: b('f'), filters: ['Noput'], prev_kv: true })
      const noDeletes = await watch(stream, { key: b('f'), filters: ['Nodelete'] })
      await etcd.put('f', '1')
      await etcd.remove('f')
      const got = [await stream.next(), await stream.next()]
      const seen = new Map(got.map((response) => [response.watch_id, response.events.map(show)]))
      assert.deepEqual(seen.get(noPuts.watch_id), ['d f  1'])
      assert.deepEqual(seen.get(noDeletes.watch_id), ['p f 1'])
      stream.write({ cancel_request: { watch_id: noPuts.watch_id } })
      const canceled = await stream.next()
      assert.deepEqual([canceled.watch_id, canceled.canceled, canceled.compact_revision], [noPuts.watch_id, true, 0])
      await etcd.put('f', '2')
      assert.deepEqual((await eventsOf(stream, 1)).map(show), ['p f 2'])
    })

    it('tells progress on request once all watches of the stream are up to date', async () => {
      const idle = open()
      idle.write({ progress_request: {} })
      const stream = open()
      await watch(stream, { key: b('progress') })
      await watch(stream, { ...prefixRange('progress/'), start_revision: 0 })
      await etcd.put('elsewhere', 'x')
      const revision = await head()
      stream.write({ progress_request: {} })
      const { watch_id: id, header, events } = await stream.next()
      assert.deepEqual([id, header.revision, events], [-1, revision, []])
      assert.equal(idle.waiting, 0)
    })

    it('tells progress regularly to those who want it', async () => {
      const stream = open()
      await watch(stream, { key: b('silent') })
      const { watch_id: id } = await watch(stream, { key: b('tick'), progress_notify: true })
      await etcd.put('elsewhere', 'y')
      const revision = await head()
      for (let message = await stream.next(); ; message = await stream.next()) {
        assert.deepEqual([message.watch_id, message.events], [id, []])
        if (message.header.revision === revision) break
      }
    })

    it('splits an oversized revision only for those who take fragments', async () => {
      const whole = open()
      const split = open()
      const value = Buffer.alloc(100 * 1024, 'v')
      await watch(whole, { ...prefixRange('frag/'), prev_kv: true })
      await watch(split, { ...prefixRange('frag/'), fragment: true, prev_kv: true })
      for (let i = 0; i < 30; i += 1) await etcd.call('KV/Put', { key: b(`frag/${i}`), value })
      await eventsOf(whole, 30)
      await eventsOf(split, 30)
      await etcd.call('KV/DeleteRange', prefixRange('frag/'))
      const { events, fragment } = await whole.next()
      assert.deepEqual([events.length, fragment], [30, false])
      const parts = [await split.next()]
      while (parts.at(-1)!.fragment) parts.push(await split.next())
      assert.ok(parts.length > 1)
      const joined = parts.flatMap((part) => part.events.map(({ kv }) => kv.key.toString()))
      assert.deepEqual(
        joined,
        events.map(({ kv }) => kv.key.toString()),
      )
    })

    it('loses, doubles and reorders nothing for a reader that stops, under writers and compaction', async () => {
      const stream = open()
      const start = await head()
      await watch(stream, { ...prefixRange('slow/'), prev_kv: true })
      const fast = open()
      await watch(fast, prefixRange('slow/'))
      stream.pause()
      const value = 'v'.repeat(2000)
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let i = 0; i < 100; i += 1) await etcd.put(`slow/${writer}`, `${i} ${value}`)
      })
      await Promise.all(writers)
      assert.equal((await eventsOf(fast, 800)).length, 800)
      await etcd.call('KV/Compact', { revision: start + 1 })
      stream.resume()
      const events = await eventsOf(stream, 800)
      const revisions = events.map(({ kv }) => kv.mod_revision)
      assert.deepEqual(
        revisions,
        revisions.map((_, i) => start + 1 + i),
      )
      for (const { kv, prev_kv: previous } of events) {
        assert.equal(previous === null, kv.version === 1)
        if (previous !== null)
          assert.equal(Number.parseInt(previous.value.toString(), 10), Number.parseInt(kv.value.toString(), 10) - 1)
      }
    })

    it('serves many watches of one stream', async () => {
      const stream = open()
      for (let i = 0; i < 200; i += 1) stream.write({ create_request: { key: b(`many/${i}`) } })
      for (let i = 0; i < 200; i += 1) assert.equal((await stream.next()).watch_id, i)
      await etcd.put('many/7', 'x')
      await etcd.put('many/199', 'y')
      assert.deepEqual([(await stream.next()).watch_id, (await stream.next()).watch_id], [7, 199])
    })
  })
}
