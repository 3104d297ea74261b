import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { DatabaseLockedError, KineError } from '#pkg/kine/errors.ts'
import { EtcdClient, prefixRange } from '#pkg/kine/testing/etcd-client.ts'
import { startKine } from '#pkg/kine/testing/servers.ts'

describe('runKine', function () {
  this.timeout(60_000)
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-run-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('keeps everything over a restart: objects, revision, history, compaction, leases, identity', async () => {
    const first = await startKine(dir)
    const before = first.connect()
    await before.put('a', '1')
    const middle = (await before.put('a', '2')).header.revision
    await before.put('b', 'x')
    await before.call('KV/Compact', { revision: middle })
    await before.call('Lease/LeaseGrant', { TTL: 1000, ID: 7 })
    await before.put('leased', 'l', { lease: 7 })
    await before.remove('b')
    const { header } = await before.range('a')
    await first.stop()

    await using second = await startKine(dir)
    const after = second.connect()
    const { header: now, kvs } = await after.range('a')
    assert.deepEqual(now, header)
    assert.deepEqual([kvs[0]!.version, kvs[0]!.value.toString(), kvs[0]!.mod_revision], [2, '2', middle])
    assert.equal((await after.range('b', { revision: middle + 1 })).kvs[0]!.value.toString(), 'x')
    await assert.rejects(after.range('a', { revision: middle - 1 }), { code: 11 })
    const lease = await after.call('Lease/LeaseTimeToLive', { ID: 7, keys: true })
    assert.deepEqual([lease.grantedTTL, lease.keys.map(String)], [1000, ['leased']])
    assert.ok(lease.TTL > 980 && lease.TTL < 1000)
    const stream = after.stream('Watch/Watch')
    stream.write({
      create_request: {
        ...prefixRange(''),
        key: Buffer.from([0]),
        range_end: Buffer.from([0]),
        start_revision: middle,
        prev_kv: true,
      },
    })
    await stream.next()
    const { events } = await stream.next()
    assert.deepEqual(
      events.map(({ type, kv }) => `${type} ${String(kv.key)}`),
      ['Put a', 'Put b', 'Put leased', 'Delete b'],
    )
    assert.equal((await after.put('c', '1')).header.revision, header.revision + 1)
    stream.cancel()
  })

  it('loses nothing that it acknowledged when it is killed under load, and leaves no gap', async () => {
    let revision = 1
    for (let round = 0; round < 2; round += 1) {
      const { child, etcd } = await serve(dir)
      assert.ok((await etcd.range('x')).header.revision >= revision)
      const acknowledged = new Map<string, number>()
      let stopping = false
      const writers = Array.from({ length: 8 }, async (_, writer) => {
        for (let i = 0; !stopping; i += 1) {
          const key = `round/${round}/${writer}/${i}`
          try {
            acknowledged.set(key, (await etcd.put(key, key)).header.revision)
          } catch {
            return
          }
        }
      })
      while (acknowledged.size < 100 && child.exitCode === null && child.signalCode === null) await sleep(5)
      assert.equal(child.signalCode, null)
      child.kill('SIGKILL')
      await once(child, 'exit')
      stopping = true
      await Promise.all(writers)
      etcd.close()

      const again = await serve(dir)
      const { kvs, header } = await again.etcd.call('KV/Range', prefixRange(`round/${round}/`))
      const stored = new Map<string, number>(kvs.map((kv) => [kv.key.toString(), kv.mod_revision]))
      for (const [key, at] of acknowledged) assert.equal(stored.get(key), at, key)
      const revisions = [...stored.values()].sort((a, b) => a - b)
      assert.deepEqual(
        revisions,
        revisions.map((_, i) => (revisions[0] ?? 0) + i),
      )
      assert.equal(revisions.at(-1), header.revision)
      revision = header.revision
      again.child.kill('SIGKILL')
      await once(again.child, 'exit')
      again.etcd.close()
    }
  })

  it('ends its streams with "server stopped" and finishes the writes it took', async () => {
    const server = await startKine(dir)
    const etcd = server.connect()
    const stream = etcd.stream('Watch/Watch')
    stream.write({ create_request: { key: Buffer.from('k') } })
    await stream.next()
    const writes = Array.from({ length: 50 }, (_, i) => etcd.put(`k/${i}`, 'x').catch((error: unknown) => error))
    await Promise.race(writes)
    const other = new EtcdClient(server.address)
    const [outcomes] = await Promise.all([Promise.all(writes), server.stop()])
    await assert.rejects(stream.next(), { code: 14, details: 'etcdserver: server stopped' })
    const answered = outcomes.filter((outcome) => !(outcome instanceof Error)).length
    other.close()
    await using again = await startKine(dir)
    const { count } = await again.connect().call('KV/Range', { ...prefixRange('k/'), count_only: true })
    assert.ok(count >= answered, `${count} stored, ${answered} acknowledged`)
  })

  it('refuses a database that another process uses, and a socket on which one answers', async () => {
    await using first = await startKine(dir)
    await assert.rejects(startKine(dir, { listenAddress: 'tcp://127.0.0.1:0' }), (error: unknown) => {
      assert.ok(error instanceof DatabaseLockedError)
      assert.match(error.message, /state\.db is in use by another process: stop it/)
      return true
    })
    await assert.rejects(startKine(dir, { endpoint: `sqlite://${dir}/other.db` }), /another process answers there/)
    assert.equal((await first.connect().range('x')).header.revision, 1)
  })

  it('replaces the socket of a killed process and keeps it to its owner', async () => {
    const { child, etcd } = await serve(dir)
    child.kill('SIGKILL')
    await once(child, 'exit')
    etcd.close()
    await using server = await startKine(dir)
    assert.equal((await server.connect().range('x')).header.revision, 1)
    assert.equal((await stat(join(dir, 'kine.sock'))).mode & 0o777, 0o600)
  })

  it('tells in one line what is wrong with options, file and address', async () => {
    const start = (options: object): Promise<unknown> => startKine(dir, options)
    await writeFile(join(dir, 'text.db'), 'this is not a database, but it is long enough to look at'.repeat(100))
    await writeFile(join(dir, 'file.sock'), '')
    const cases: [object, RegExp][] = [
      [{ endpoint: 'http://user:secret@host:2379' }, /an etcd needs no kine/],
      [{ endpoint: '/var/lib/state.db' }, /no database; want sqlite:/],
      [{ endpoint: `sqlite://${dir}/text.db` }, /cannot open database .*text\.db: file is not a database/],
      [{ endpoint: 'sqlite:///dev/null/none/state.db' }, /cannot open database \/dev\/null\/none\/state\.db/],
      [{ listenAddress: 'nonsense' }, /--listen-address nonsense: want unix/],
      [{ listenAddress: `unix://${dir}/file.sock` }, /not a socket; remove it/],
      [{ serverCertFile: '/none' }, /TLS needs both/],
      [{ metricsBindAddress: 'nonsense' }, /--metrics-bind-address nonsense: want/],
      [{ endpoint: 'postgres://u:secret@h/d', caFile: '/none/ca' }, /--ca-file: cannot read \/none\/ca: ENOENT/],
      [{ endpoint: 'mysql://u:secret@tcp(h)/d', caFile: `${dir}/file.sock` }, /--ca-file .*: not a PEM file/],
      [{ serverCertFile: '/none', serverKeyFile: '/none' }, /cannot read \/none/],
    ]
    for (const [options, message] of cases) {
      await assert.rejects(start(options), (error: unknown) => {
        assert.ok(error instanceof KineError, String(error))
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /\n|secret/)
        return true
      })
    }
  })

  it('answers status, members and unknown methods', async () => {
    await using server = await startKine(dir)
    const etcd = server.connect()
    const status = await etcd.call('Maintenance/Status', {})
    assert.match(status.version, /^3\.6\.\d+$/)
    assert.ok(status.dbSize > 0)
    assert.deepEqual((await etcd.call('Maintenance/Alarm', {})).alarms, [])
    const { members } = await etcd.call('Cluster/MemberList', {})
    assert.deepEqual(members[0]!.clientURLs, [`unix://${dir}/kine.sock`])
    await etcd.call('Maintenance/Defragment', {})
    await assert.rejects(etcd.call('Cluster/MemberAdd', {}), { code: 12 })
  })

  it('writes durably', async () => {
    await (await startKine(dir)).stop()
    // A clean stop folds the write-ahead log into the database.
    await assert.rejects(readFile(join(dir, 'state.db-wal')), { code: 'ENOENT' })
  })
})

async function serve(dir: string): Promise<{ readonly child: ChildProcess; readonly etcd: EtcdClient }> {
  const socket = join(dir, 'kine.sock')
  const script = resolve('pkg/kine/testing/serve.ts')
  const child = spawn(process.execPath, [script, socket, join(dir, 'state.db')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  return { child, etcd: new EtcdClient(`unix:${socket}`) }
}
