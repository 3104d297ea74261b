import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startKine } from '#pkg/kine/testing/servers.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

describe('runKine, its metrics and its quota', function () {
  this.timeout(60_000)
  let dir: string

  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'kine-run-'))
  })
  afterEach(() => rm(dir, { recursive: true, force: true }))

  it('serves metrics and health', async () => {
    const path = join(dir, 'metrics.sock')
    await using server = await startKine(dir, { metricsBindAddress: `unix://${path}` })
    await server.connect().put('a', 'b')
    const text = await get(path, '/metrics')
    assert.match(text, /^etcd_debugging_mvcc_keys_total 1$/m)
    assert.match(text, /^etcd_mvcc_put_total 1$/m)
    assert.match(text, /^etcd_server_has_leader 1$/m)
    const labels = 'grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"'
    assert.ok(text.includes(`\ngrpc_server_handled_total{${labels}} 1\n`), text)
    assert.match(text, /^etcd_disk_backend_commit_duration_seconds_count 1$/m)
    assert.match(text, /^kine_sql_total\{error_code="",name="append"\} 1$/m)
    assert.match(text, /^etcd_network_client_grpc_received_bytes_total [1-9]\d+$/m)
    assert.equal(await get(path, '/health'), '{"health":"true","reason":""}')
  })

  it('counts streams that are open and leases that end', async () => {
    const path = join(dir, 'metrics.sock')
    await using server = await startKine(dir, { metricsBindAddress: `unix://${path}` })
    const etcd = server.connect()
    const stream = etcd.stream('Watch/Watch')
    stream.write({ create_request: { key: Buffer.from('k') } })
    await stream.next()
    await etcd.put('k', 'v')
    await stream.next()
    await etcd.call('Lease/LeaseGrant', { TTL: 1000, ID: 7 })
    await etcd.call('Lease/LeaseRevoke', { ID: 7 })
    const text = await get(path, '/metrics')
    const watch = 'grpc_method="Watch",grpc_service="etcdserverpb.Watch",grpc_type="bidi_stream"'
    const expected = {
      [`grpc_server_started_total{${watch}}`]: 1,
      [`grpc_server_handled_total{grpc_code="OK",${watch}}`]: 0,
      etcd_debugging_mvcc_watcher_total: 1,
      etcd_debugging_mvcc_watch_stream_total: 1,
      etcd_debugging_mvcc_events_total: 1,
      etcd_debugging_lease_granted_total: 1,
      etcd_debugging_lease_revoked_total: 1,
      etcd_debugging_server_lease_expired_total: 0,
    }
    for (const [name, value] of Object.entries(expected)) assert.ok(text.includes(`\n${name} ${value}\n`), name)
    stream.cancel()
  })

  it('refuses writes from the quota on, until space was made and the alarm is disarmed', async () => {
    const path = join(dir, 'metrics.sock')
    const quotaBackendBytes = 512 * 1024
    await using server = await startKine(dir, { metricsBindAddress: `unix://${path}`, quotaBackendBytes })
    const etcd = server.connect()
    const value = 'x'.repeat(16 * 1024)
    const full = { code: 8, details: 'etcdserver: mvcc: database space exceeded' }
    const fill = async (): Promise<void> => {
      for (;;) {
        await etcd.put('k', value)
        await sleep(10)
      }
    }
    await assert.rejects(fill(), full)
    await assert.rejects(etcd.call('Lease/LeaseGrant', { TTL: 10, ID: 1 }), full)
    const { errors, header } = await etcd.call('Maintenance/Status', {})
    assert.match(errors.join(), /alarm:NOSPACE/)
    assert.equal(await get(path, '/health'), '{"health":"false","reason":"ALARM NOSPACE"}')
    assert.equal(await get(path, '/health?exclude=NOSPACE'), '{"health":"true","reason":""}')
    await etcd.remove('k')
    await etcd.call('KV/Compact', { revision: header.revision, physical: true })
    await etcd.call('Maintenance/Defragment', {})
    const { alarms } = await etcd.call('Maintenance/Alarm', {})
    for (const { memberID, alarm } of alarms) {
      await etcd.call('Maintenance/Alarm', { action: 'Deactivate', memberID, alarm })
    }
    assert.equal(alarms.length, 1)
    await etcd.put('k', value)
    assert.deepEqual((await etcd.call('Maintenance/Alarm', {})).alarms, [])
  })

  it('serves without metrics when their address is taken', async () => {
    const path = join(dir, 'metrics.sock')
    await writeFile(path, '')
    await using server = await startKine(dir, { metricsBindAddress: `unix://${path}` })
    assert.equal((await server.connect().put('a', 'b')).header.revision, 2)
  })
})

async function get(socketPath: string, path: string): Promise<string> {
  const response = await new Promise<IncomingMessage>((answered, failed) => {
    request({ socketPath, path }, answered).on('error', failed).end()
  })
  let text = ''
  for await (const chunk of response) text += String(chunk)
  return text
}
