import { strict as assert } from 'node:assert'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runMigration } from '#pkg/datastore/testing/migration.ts'
import { startUpstreamKine, UPSTREAM_KINE } from '#pkg/datastore/testing/upstream-kine.ts'
import { prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { KeyValueMessage } from '#pkg/kine/testing/etcd-messages.ts'
import { startEtcd } from '#pkg/kine/testing/etcd-server.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import type { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import type { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'

const SERVERS = [
  { name: 'SQLite', start: () => Promise.resolve(undefined) },
  { name: 'PostgreSQL', start: () => DATABASES.postgres() },
  { name: 'MariaDB', start: () => DATABASES.mariadb() },
] as const

// Only where the upstream program has been built, as the benchmark does.
for (const { name, start } of existsSync(UPSTREAM_KINE) ? SERVERS : []) {
  describe(`what the real upstream kine wrote to ${name}`, function () {
    this.timeout(120_000)
    let server: PostgresServer | MariadbServer | undefined
    let dir: string
    let endpoint: string

    before(async () => {
      server = await start()
    })

    beforeEach(async () => {
      dir = await mkdtemp(join(tmpdir(), 'datastore-'))
      endpoint = (await server?.createDatabase()) ?? `sqlite://${join(dir, 'state.db')}`
    })

    afterEach(async () => {
      await rm(dir, { recursive: true, force: true })
    })

    it('is imported with its objects, revisions, leases and history', async () => {
      const seen = await fillUpstream(endpoint)
      await using kine = await startKine(dir, { endpoint })
      const client = kine.connect()
      assert.deepEqual(await see(client, seen.watchFrom), seen)
      await versionsAreCounted(client)
      assert.ok((await client.put('/registry/pods/a/new', 'x')).header.revision > seen.revision)
    })

    if (name === 'SQLite') {
      it('is left alone while its own program runs', async () => {
        await using upstream = await startUpstreamKine(endpoint)
        await upstream.connect().range('/registry/health')
        await assert.rejects(startKine(dir, { endpoint }), /is in use by process \d+, an upstream kine/)
        await assert.rejects(runMigration(endpoint, `etcd://${dir}/etcd`), /is in use by process \d+/)
      })
    }

    it('is migrated to etcd without being imported', async () => {
      const seen = await fillUpstream(endpoint)
      const directory = join(dir, 'etcd')
      await runMigration(endpoint, `etcd://${directory}`)
      await using etcd = await startEtcd(directory)
      assert.deepEqual(await see(etcd.connect(), seen.watchFrom), seen)
      await versionsAreCounted(etcd.connect())
      // Nothing was added to the source.
      await using upstream = await startUpstreamKine(endpoint)
      assert.deepEqual(await see(upstream.connect(), seen.watchFrom), seen)
    })
  })
}

interface Seen {
  readonly revision: number
  readonly kvs: unknown
  readonly events: unknown
  readonly watchFrom: number
}

/** Writes as an API server does: creations, updates and deletions that compare the mod revision; then compacts. */
async function fillUpstream(endpoint: string): Promise<Seen> {
  await using upstream = await startUpstreamKine(endpoint, ['--compact-min-retain=5'])
  const client = upstream.connect()
  const revisions = new Map<string, number>()
  const { ID } = await client.call('Lease/LeaseGrant', { TTL: 3660 })
  for (let i = 0; i < 120; i += 1) {
    const key = `/registry/pods/a/pod-${i % 17}`
    const at = revisions.get(key) ?? 0
    if (at > 0 && i % 7 === 3) {
      await swap(client, key, at, { request_delete_range: { key: Buffer.from(key) } })
      revisions.delete(key)
    } else {
      const put = { key: Buffer.from(key), value: Buffer.from(`value ${i}`), lease: i % 5 === 0 ? ID : 0 }
      revisions.set(key, await swap(client, key, at, { request_put: put }))
    }
    if (i === 60) await client.call('KV/Compact', { revision: revisions.get(key) })
  }
  const { header } = await client.range('/registry/health')
  return await see(client, header.revision - 40)
}

async function swap(client: EtcdClient, key: string, expected: number, op: object): Promise<number> {
  const compare = [{ target: 'Mod', result: 'Equal', key: Buffer.from(key), mod_revision: expected }]
  const failure = expected === 0 ? [] : [{ request_range: { key: Buffer.from(key) } }]
  const { succeeded, header } = await client.txn({ compare, success: [op], failure })
  assert.ok(succeeded, `${key} at ${expected}`)
  return header.revision
}

/** What an API server looks at; upstream has no versions. */
async function see(client: EtcdClient, watchFrom: number): Promise<Seen> {
  const { header, kvs } = await client.call('KV/Range', prefixRange('/registry/pods/'))
  const watch = client.stream('Watch/Watch')
  watch.write({ create_request: { ...prefixRange('/registry/pods/'), start_revision: watchFrom, prev_kv: true } })
  const events: unknown[] = []
  for (let last = 0; last < header.revision;) {
    const message = await watch.next()
    for (const { type, kv, prev_kv } of message.events) {
      // Upstream gives the version before the lease of the new one.
      const before = prev_kv && shown({ ...prev_kv, lease: 0 })
      events.push([type, String(kv.key), kv.mod_revision, type === 'Put' ? shown(kv) : '', before])
    }
    last = message.events.at(-1)?.kv.mod_revision ?? last
  }
  watch.cancel()
  return { revision: header.revision, kvs: kvs.map(shown), events, watchFrom }
}

function shown({ key, value, create_revision, mod_revision, lease }: KeyValueMessage): string {
  return `${String(key)} ${create_revision} ${mod_revision} ${lease} ${String(value)}`
}

async function versionsAreCounted(client: EtcdClient): Promise<void> {
  const { kvs } = await client.call('KV/Range', prefixRange('/registry/pods/'))
  for (const { version, create_revision, mod_revision } of kvs) {
    assert.equal(version === 1, create_revision === mod_revision)
    assert.ok(version > 0)
  }
}
