import assert from 'node:assert/strict'
import { batchAfter, newRow } from '#pkg/kine/testing/batches.ts'
import { eventually } from '#pkg/kine/testing/eventually.ts'
import { PostgresFixture } from '#pkg/kine/testing/postgres-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

describe('PostgresDialect, following others', function () {
  this.timeout(60_000)
  const on = PostgresFixture.forEach()

  it('hears of commits within milliseconds, after a restart of the database too', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(on.url)]
    const state = await one.open()
    await two.open()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told of the connection', () => heard.length > 1)
    const first = batchAfter(state, [newRow(2, 'a')])
    await one.append(first)
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 900, 'by notification, not by poll')
    heard.length = 0
    await on.server.kill()
    await assert.rejects(one.append(batchAfter(first.next, [newRow(3, 'lost')])), unavailable)
    await assert.rejects(one.shared.head(), unavailable)
    await on.server.start()
    await eventually('told of the new connection', () => heard.includes(undefined))
    await eventually('head', () =>
      one.shared.head().then(
        ({ revision }) => revision === 2,
        () => false,
      ),
    )
    assert.ok((await one.append(batchAfter(first.next, [newRow(3, 'b')]))).committed)
    await eventually('told of revision 3', () => heard.includes(3))
    const count = (text: string): number => on.log.lines.filter((line) => line.includes(text)).length
    assert.ok(count('is away') >= 1 && count('is away') <= 2, 'once an instance, not once a request')
    assert.equal(count('is back'), count('is away'))
  })

  it('polls behind a pooler, where notifications do not arrive', async () => {
    const [one, two] = [on.dialectAt(on.url), on.dialectAt(`${on.url}&default_query_exec_mode=exec`)]
    const state = await one.open()
    await two.open()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told that it polls', () => on.log.lines.some((line) => line.includes('polling')))
    await one.append(batchAfter(state, [newRow(2, 'a')]))
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 900)
    assert.ok((await two.append(batchAfter(await two.shared.head(), [newRow(3, 'b')]))).committed)
  })

  it('does not wait for a database that hangs', async () => {
    const dialect = on.dialectAt(on.url, { connectTimeoutMs: 1_000 })
    await dialect.open()
    await dialect.shared.head()
    await on.server.freeze(true)
    try {
      const startedAt = performance.now()
      await assert.rejects(dialect.shared.head(), unavailable)
      assert.ok(performance.now() - startedAt < 3_000)
      await assert.rejects(dialect.shared.head(), unavailable)
    } finally {
      await on.server.freeze(false)
    }
    await eventually('back', () =>
      dialect.shared.head().then(
        () => true,
        () => false,
      ),
    )
  })
})
