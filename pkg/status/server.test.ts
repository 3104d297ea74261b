import assert from 'node:assert/strict'
import { chmodSync, existsSync, statSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { statusClient } from '#pkg/status/client.ts'
import { startStatusServer } from '#pkg/status/server.ts'
import { reports, status } from '#pkg/status/testdata/status.ts'
import type { StatusProvider } from '#pkg/status/types.ts'

const provider: StatusProvider = { status: () => status, components: () => reports, stop: () => undefined }
const deps = { log: silentLogger }

describe('status socket', () => {
  it('leaves the mode of a directory that is there as it is', async () => {
    await using dir = await tempDir()
    chmodSync(dir.path, 0o1777)
    const server = await startStatusServer({ socketPath: join(dir.path, 'k0s.sock') }, provider, deps)
    await server.stop()
    assert.equal(statSync(dir.path).mode & 0o7777, 0o1777)
  })

  it('answers status and components to its owner only, and goes away whole', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 'run', 'status.sock')
    const server = await startStatusServer({ socketPath }, provider, deps)
    assert.equal(statSync(socketPath).mode & 0o777, 0o600)
    const client = statusClient(socketPath)
    const answer = await client.get()
    assert.deepEqual({ ...answer, Components: [] }, { ...status, Components: [] })
    assert.deepEqual(answer.Components[2], {
      name: 'kube-scheduler',
      state: 'waiting',
      waitingFor: ['kube-apiserver'],
      since: '2026-11-21T14:00:00.000Z',
    })
    const { healthProbes, events } = await client.components({ maxCount: 1 })
    assert.equal(healthProbes['etcd']![0]!.error, null)
    assert.match(healthProbes['kube-apiserver']![0]!.error!, /connection refused/)
    assert.deepEqual(events['etcd'], [{ at: '2026-11-21T14:00:00.000Z', payload: { state: 'ready' } }])
    assert.equal((await client.components()).events['etcd']!.length, 4)
    assert.deepEqual((await client.components({ maxCount: 0 })).events['etcd'], [])
    await server.stop()
    await server.stop()
    assert.equal(existsSync(socketPath), false)
    await assert.rejects(client.get(), {
      code: 'ERR_STATUS_NOT_RUNNING',
      message: `k0s is not running: no answer at ${socketPath}; start it with "k0s controller" or "k0s worker", or name its socket with --status-socket`,
    })
  })

  it('passes on a request to stop', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 'status.sock')
    let stops = 0
    await using server = await startStatusServer({ socketPath }, { ...provider, stop: () => (stops += 1) }, deps)
    assert.ok(server)
    assert.deepEqual(await statusClient(socketPath).stop(), { pid: process.pid })
    assert.equal(stops, 1)
  })

  it('replaces the socket of a killed supervisor', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 'status.sock')
    await writeFile(socketPath, '')
    await using server = await startStatusServer({ socketPath }, provider, deps)
    assert.ok(server)
    assert.equal((await statusClient(socketPath).get()).Pid, 4242)
  })

  it('answers a failure and stays up', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 'status.sock')
    const broken: StatusProvider = { ...provider, status: () => Promise.reject(new Error('no configuration')) }
    await using server = await startStatusServer({ socketPath }, broken, deps)
    assert.ok(server)
    const client = statusClient(socketPath)
    await assert.rejects(client.get(), {
      code: 'ERR_STATUS_REQUEST',
      message: `${socketPath} answered GET /status with 500: {"message":"no configuration"}`,
    })
    assert.ok(await client.components())
  })

  it('refuses a path that no socket can have', async () => {
    const socketPath = `/tmp/${'x'.repeat(120)}/status.sock`
    await assert.rejects(startStatusServer({ socketPath }, provider, deps), {
      message: `cannot listen on ${socketPath}: a socket's path has at most 107 bytes; use --status-socket`,
    })
  })

  it('tells another program from k0s', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 'docker.sock')
    const other = createServer((_, response) => response.end('{"hello":1}')).listen(socketPath)
    try {
      await once(other, 'listening')
      await assert.rejects(statusClient(socketPath).get(), { code: 'ERR_STATUS_REQUEST', message: /is not k0s/ })
    } finally {
      other.close()
    }
  })
})
