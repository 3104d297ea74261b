import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ServiceError } from '@grpc/grpc-js'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { put } from '#pkg/kine/testing/requests.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'
import { KINE_TARGETS } from '#pkg/kine/suite/targets.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'

const KEYS = 400
/** Far more than there are connections to the database, of which the fewest are allowed. */
const LISTS = 200
const CONNECTIONS = 3
/** A bound of liveness: how long health takes is a figure of the faults and of the soak test. */
const ANSWERED_WITHIN_MS = 20_000
/** etcd's answers when it has too much to do: a client tries again. */
const BUSY = [8, 14]

describe('more requests than connections to the database', function () {
  this.timeout(120_000)

  for (const { name } of KINE_TARGETS) {
    it(`are answered on ${name}, and health and writes among them`, async () => {
      const dir = await mkdtemp(join(tmpdir(), 'k0s-suite-overload-'))
      try {
        const endpoint = await endpointOf(name, dir)
        await using kine = await startKine(dir, { endpoint, datastoreMaxOpenConnections: CONNECTIONS })
        await overload([kine.connect(), kine.connect()])
      } finally {
        await rm(dir, { recursive: true, force: true })
      }
    })
  }
})

async function endpointOf(name: string, dir: string): Promise<string> {
  if (name === 'postgres') return (await DATABASES.postgres()).createDatabase()
  if (name === 'mariadb') return (await DATABASES.mariadb()).createDatabase()
  return `sqlite://${join(dir, 'state.db')}`
}

async function overload([etcd, other]: readonly [EtcdClient, EtcdClient]): Promise<void> {
  const fill = async (value: string): Promise<number> => {
    let revision = 0
    for (let from = 0; from < KEYS; from += 100) {
      const ops = Array.from({ length: 100 }, (_, i) => put(`load/${from + i}`, value.repeat(1000)))
      revision = (await etcd.txn({ success: ops })).header.revision
    }
    return revision
  }
  const old = await fill('a')
  await fill('b')
  // Of the past: each has to ask the database.
  const lists = Array.from({ length: LISTS }, () =>
    etcd.call('KV/Range', { ...prefixRange('load/'), revision: old }).catch(busy),
  )
  const all = Promise.all(lists)
  let over = false
  all.then(
    () => (over = true),
    () => (over = true),
  )
  let [slowestMs, rounds] = [0, 0]
  do {
    const askedAt = performance.now()
    // On a machine that has much else to do a request may time out: that too is soon, and said.
    const done = await other
      .range('/registry/health')
      .then(() => other.put('among', String(rounds)))
      .catch(busy)
    slowestMs = Math.max(slowestMs, performance.now() - askedAt)
    if (done !== undefined) rounds += 1
  } while (!isTrue(over))
  const answers = (await all).filter((answer) => answer !== undefined)
  assert.ok(answers.length > 0, 'lists are answered')
  for (const { kvs } of answers) assert.ok(kvs.length === KEYS && kvs.every(({ value }) => value[0] === 97))
  assert.ok(slowestMs < ANSWERED_WITHIN_MS, `a read and a write took ${slowestMs.toFixed(0)} ms`)
  assert.ok(rounds > 0, 'a read and a write are answered')
  assert.ok((await other.range('among')).kvs[0]!.version >= rounds)
}

/** Nothing but etcd's answers when it has too much to do. */
function busy(error: unknown): undefined {
  assert.ok(BUSY.includes((error as ServiceError).code), String(error))
}

/** A call: TypeScript keeps a variable narrowed that a closure changes. */
const isTrue = (value: boolean): boolean => value
