import assert from 'node:assert/strict'
import { batchAfter, FRESH, newRow } from '#pkg/kine/testing/batches.ts'
import { eventually } from '#pkg/kine/testing/eventually.ts'
import { MysqlFixture } from '#pkg/kine/testing/mysql-fixture.ts'
import { unavailable } from '#pkg/kine/testing/store-errors.ts'

describe('MysqlDialect, following others', function () {
  this.timeout(60_000)
  const on = MysqlFixture.forEach()

  it('hears of commits soon, after a crash of the database too, and says once that it is away', async () => {
    const [one, two] = await on.openTwo()
    const heard: (number | undefined)[] = []
    await using follower = two.shared.follow((revision) => heard.push(revision))
    assert.ok(follower)
    await eventually('told of the beginning', () => heard.length > 0)
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    await one.append(first)
    const startedAt = performance.now()
    await eventually('told of revision 2', () => heard.includes(2))
    assert.ok(performance.now() - startedAt < 1_000)
    await one.append(batchAfter(first.next, [], { compactRevision: 1 }))
    await eventually('told of the compaction', () => heard.at(-1) === undefined)
    heard.length = 0

    await on.server.kill()
    await assert.rejects(one.append(batchAfter(first.next, [newRow(3, 'lost')])), unavailable)
    await assert.rejects(one.shared.head(), unavailable)
    await assert.rejects(one.readValues([2048]), unavailable)
    await on.server.start()
    await eventually('told of the way back', () => heard.includes(undefined))
    await eventually('the other one is back', () =>
      one.shared.head().then(
        () => true,
        () => false,
      ),
    )
    const head = await one.shared.head()
    assert.deepEqual(head, { ...first.next, compactRevision: 1 })
    assert.ok((await one.append(batchAfter(head, [newRow(3, 'b')]))).committed)
    await eventually('told of revision 3', () => heard.includes(3))
    const count = (text: string): number => on.log.lines.filter((line) => line.includes(` ${text}`)).length
    assert.equal(count('the database is away'), 2)
    assert.equal(count('the database is back'), 2)
  })

  it('does not wait for a database that hangs, and takes no commit of then for lost', async () => {
    const [one] = await on.openTwo()
    const first = batchAfter(FRESH, [newRow(2, 'a')])
    await one.append(first)
    await one.shared.head()
    await on.server.freeze(true)
    const writing = one.append(batchAfter(first.next, [newRow(3, 'a')]))
    writing.catch(() => undefined)
    try {
      const startedAt = performance.now()
      await assert.rejects(one.shared.head(), unavailable)
      await assert.rejects(one.shared.head(), unavailable)
      assert.ok(performance.now() - startedAt < 3_000)
      // The first attempt to connect has shown that nobody is there.
      await assert.rejects(writing, unavailable)
    } finally {
      await on.server.freeze(false)
    }
    // The server has had the whole text of the commit, and ends it now that it can.
    await eventually('committed', () =>
      one.shared.head().then(
        ({ revision }) => revision === 3,
        () => false,
      ),
    )
  })

  it('survives the loss of idle sessions', async () => {
    const [one] = await on.openTwo()
    await one.append(batchAfter(FRESH, [newRow(2, 'a')]))
    await one.readValues([2048])
    await one.shared.head()
    const ids = await on.server.query(`SELECT id FROM information_schema.processlist WHERE db = '${on.database}'`)
    assert.ok(ids.length >= 3)
    for (const [id] of ids) await on.server.query(`KILL ${String(id)}`).catch(() => undefined)
    assert.equal((await one.readValues([2048])).size, 1)
    const head = await one.shared.head()
    assert.ok((await one.append(batchAfter(head, [newRow(3, 'b')]))).committed)
  })
})
