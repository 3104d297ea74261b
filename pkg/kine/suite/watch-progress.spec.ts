import assert from 'node:assert/strict'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { b } from '#pkg/kine/testing/requests.ts'
import { createWatch, eventsOf, openWatch } from '#pkg/kine/testing/watching.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'

onEach(TARGETS, 'watch progress', (on) => {
  const head = async (): Promise<number> => (await on.etcd.range('x')).header.revision

  it('is told on request once all watches of the stream are up to date', async () => {
    const idle = on.etcd.stream('Watch/Watch')
    idle.write({ progress_request: {} })
    const stream = await openWatch(on.etcd, { key: b('progress') })
    await createWatch(stream, { ...prefixRange('progress/'), start_revision: 0 })
    await on.etcd.put('elsewhere', 'x')
    const revision = await head()
    stream.write({ progress_request: {} })
    const { watch_id: id, header, events } = await stream.next()
    assert.deepEqual([id, header.revision, events], [-1, revision, []])
    assert.equal(idle.waiting, 0, 'a stream without watches gets none')
  })

  it('is told at once on an idle store', async () => {
    const stream = await openWatch(on.etcd, { key: b('idle') })
    const tookMs: number[] = []
    for (let i = 0; i < 51; i += 1) {
      const askedAt = performance.now()
      stream.write({ progress_request: {} })
      await stream.next()
      tookMs.push(performance.now() - askedAt)
    }
    const median = tookMs.sort((a, z) => a - z)[25]!
    assert.ok(median < 10, `median ${median.toFixed(1)} ms`)
  })

  it('is told regularly to those who want it', async () => {
    const stream = await openWatch(on.etcd, { key: b('silent') })
    const { watch_id: id } = await createWatch(stream, { key: b('tick'), progress_notify: true })
    await on.etcd.put('elsewhere', 'y')
    const revision = await head()
    for (let message = await stream.next(); ; message = await stream.next()) {
      assert.deepEqual([message.watch_id, message.events], [id, []])
      if (message.header.revision === revision) break
    }
  })

  it('is silent while a watch of the stream waits for a revision to come', async () => {
    const stream = await openWatch(on.etcd, { key: b('mute'), start_revision: (await head()) + 2 })
    stream.write({ progress_request: {} })
    await on.etcd.put('mute', 'early')
    stream.write({ progress_request: {} })
    await on.etcd.put('mute', 'now')
    const { events } = await stream.next()
    assert.equal(events[0]!.kv.value.toString(), 'now')
  })

  it('is never ahead of an event that is still to come', async () => {
    const stream = on.etcd.stream('Watch/Watch')
    for (const name of ['a', 'b', 'c', 'd']) await createWatch(stream, { ...prefixRange(`ahead/${name}`) })
    const over = new AbortController()
    const writers = ['a', 'b', 'c', 'd'].map(async (name) => {
      const etcd = on.server.connect()
      for (let i = 0; i < 100; i += 1) await etcd.put(`ahead/${name}${i}`, 'x')
    })
    const asking = (async () => {
      while (!over.signal.aborted) {
        stream.write({ progress_request: {} })
        await on.etcd.range('x')
      }
    })()
    let told = 0
    let answers = 0
    for (let events = 0; events < 400;) {
      const message = await stream.next()
      for (const { kv } of message.events) assert.ok(kv.mod_revision > told, `${kv.mod_revision} behind ${told}`)
      events += message.events.length
      if (message.watch_id !== -1) continue
      told = message.header.revision
      answers += 1
    }
    over.abort()
    await Promise.all([...writers, asking])
    assert.ok(answers > 0, 'it was answered under load too')
  })

  it('of one stream does not wait for another that is not read', async () => {
    const value = 'v'.repeat(64 * 1024)
    const stalled = await openWatch(on.server.connect(), prefixRange('stall/'))
    stalled.pause()
    const stream = await openWatch(on.etcd, prefixRange('stall/'))
    for (let i = 0; i < 150; i += 1) await on.etcd.put('stall/x', `${i} ${value}`)
    assert.equal((await eventsOf(stream, 150)).length, 150)
    stream.write({ progress_request: {} })
    const { watch_id: id, header } = await stream.next()
    assert.deepEqual([id, header.revision], [-1, await head()])
    stalled.resume()
    const late = await eventsOf(stalled, 150)
    assert.deepEqual(
      late.map(({ kv }) => Number.parseInt(kv.value.subarray(0, 3).toString(), 10)),
      [...late.keys()],
    )
  })
})
