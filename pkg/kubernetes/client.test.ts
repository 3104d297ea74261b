import assert from 'node:assert/strict'
import { getEventListeners, once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, it, beforeEach, afterEach } from 'mocha'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import {
  isAlreadyExists,
  isConflict,
  isGone,
  isNotFound,
  KubeApiError,
  KubeConnectionError,
} from '#pkg/kubernetes/errors.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { Transport } from '#pkg/kubernetes/transport.ts'
import { resourcePath, type KubeObject, type WatchEvent } from '#pkg/kubernetes/types.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const configMaps = inNamespace(resources.configMaps, 'default')
const configMap = (name: string, data: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
})

describe('KubeClient', () => {
  let server: FakeApiServer
  let client: KubeClient
  beforeEach(async () => {
    server = await FakeApiServer.start()
    client = new KubeClient({ server: server.url, requestTimeoutMs: 2_000 })
  })
  afterEach(async () => {
    client.close()
    await server.stop()
  })

  it('creates, reads, replaces, patches, applies, lists and deletes', async () => {
    await client.create(configMaps, configMap('a', { k: '1' }))
    const read = await client.get(configMaps, 'a')
    await client.replace(configMaps, 'a', { ...read, data: { k: '2' } })
    await client.patch(configMaps, 'a', { data: { l: '3' } }, { type: 'merge' })
    await client.apply(configMaps, 'b', configMap('b'), { fieldManager: 'k0s' })
    const { items, metadata } = await client.list(resources.configMaps)
    assert.deepEqual(
      items.map((item) => [item.kind, item.metadata.name, item['data']]),
      [
        ['ConfigMap', 'a', { k: '2', l: '3' }],
        ['ConfigMap', 'b', {}],
      ],
    )
    assert.match(metadata.resourceVersion, /^\d+$/)
    await client.delete(configMaps, 'a')
    await assert.rejects(client.get(configMaps, 'a'), isNotFound)
    assert.equal(await client.find(configMaps, 'a'), undefined)
    assert.equal((await client.find(configMaps, 'b'))?.metadata.name, 'b')
    assert.equal(
      server.requests.find(({ method, query }) => method === 'PATCH' && query.has('force'))?.query.get('force'),
      'true',
    )
  })

  it('tells apart what the server refused', async () => {
    const created = await client.create(configMaps, configMap('a'))
    await assert.rejects(client.create(configMaps, configMap('a')), isAlreadyExists)
    await client.replace(configMaps, 'a', { ...created, data: { x: 'y' } })
    await assert.rejects(client.replace(configMaps, 'a', { ...created, data: {} }), isConflict)
    server.intercept = (_request, response) => {
      response.writeHead(429, { 'retry-after': '3', 'content-type': 'text/plain' }).end('too many\nrequests')
      return true
    }
    await assert.rejects(client.get(configMaps, 'a'), (thrown: unknown) => {
      assert.ok(thrown instanceof KubeApiError)
      assert.deepEqual([thrown.status, thrown.retryAfterSeconds], [429, 3])
      assert.equal(thrown.message, 'GET /api/v1/namespaces/default/configmaps/a: 429 too many requests')
      return true
    })
  })

  it('follows the pages of a list', async () => {
    server.intercept = ({ query }, response) => {
      const token = query.get('continue')
      const page = { a: 'b', b: undefined }[token ?? 'a']
      const body = {
        kind: 'ConfigMapList',
        apiVersion: 'v1',
        metadata: { resourceVersion: '7', continue: page },
        items: [configMap(token ?? 'a')],
      }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
      return true
    }
    const { items } = await client.list(configMaps)
    assert.deepEqual(
      items.map(({ metadata }) => metadata.name),
      ['a', 'b'],
    )
  })

  it('reports a server that is not there, and one that does not answer', async () => {
    server.intercept = () => true
    const impatient = new KubeClient({ server: server.url, requestTimeoutMs: 30 })
    await assert.rejects(impatient.get(configMaps, 'a'), KubeConnectionError)
    impatient.close()
    const { url } = server
    await server.stop()
    const lost = new KubeClient({ server: url })
    await assert.rejects(lost.get(configMaps, 'a'), (thrown: unknown) => {
      assert.ok(thrown instanceof KubeConnectionError)
      assert.match(thrown.message, /^no answer from the API server http:.* to GET \/api\/v1\/.*ECONNREFUSED/)
      return true
    })
    await server.listen(0)
  })

  it('gives up on a server that takes the connection and then says nothing', async () => {
    const mute = createServer().listen(0, '127.0.0.1')
    await once(mute, 'listening')
    const { port } = mute.address() as AddressInfo
    const waiting = new KubeClient({ server: `https://127.0.0.1:${port}`, requestTimeoutMs: 50 })
    await assert.rejects(waiting.get(configMaps, 'a'), /no success within 50 ms/)
    waiting.close()
    mute.close()
  })

  it('speaks TLS with client certificates, and takes new ones', async () => {
    const ca = createCa({ commonName: 'test-ca', validForMs: 3_600_000 })
    const serving = issueCertificate(ca, {
      commonName: 'api',
      ips: ['127.0.0.1'],
      usages: ['server'],
      validForMs: 3_600_000,
    })
    const user = issueCertificate(ca, { commonName: 'admin', usages: ['client'], validForMs: 3_600_000 })
    await using tls = await FakeApiServer.start({ cert: serving.certPem, key: serving.keyPem, ca: ca.certPem })
    const stranger = new KubeClient({ server: tls.url, caPem: ca.certPem })
    await assert.rejects(stranger.list(configMaps), KubeConnectionError)
    stranger.setCredentials({ caPem: ca.certPem, ...user })
    assert.deepEqual((await stranger.list(configMaps)).items, [])
    stranger.close()
    const suspicious = new KubeClient({ server: tls.url, ...user })
    await assert.rejects(suspicious.list(configMaps), /self-signed certificate|unable to verify/)
    suspicious.close()
  })

  it('repeats a read once when the kept-alive connection was closed meanwhile', async () => {
    let seen = 0
    server.intercept = (_request, response) => {
      seen += 1
      if (seen === 2) response.destroy() // the second request travels on the first one's connection
      return seen === 2
    }
    await client.list(configMaps)
    await client.list(configMaps)
    assert.equal(seen, 3)
  })

  it('reads an answer that had come whole before it is read', async () => {
    server.intercept = (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain' }).end('x'.repeat(100_000))
      return true
    }
    const transport = new Transport(server.url, {})
    const { body } = await transport.open({ method: 'GET', path: '/x', headers: {}, repeatable: false })
    await sleep(100)
    let bytes = 0
    for await (const chunk of body) bytes += chunk.length
    assert.equal(bytes, 100_000)
    transport.close()
  })

  it('throws the reason of an aborted signal and leaves no listener on it', async () => {
    const controller = new AbortController()
    await client.list(configMaps, { signal: controller.signal })
    await assert.rejects(client.get(configMaps, 'none', { signal: controller.signal }), isNotFound)
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
    server.intercept = () => true
    const pending = client.get(configMaps, 'a', { signal: controller.signal })
    const reason = new Error('enough')
    setImmediate(() => controller.abort(reason))
    await assert.rejects(pending, reason)
  })

  it('watches from a version and stops when its reader leaves', async () => {
    const { metadata } = await client.list(configMaps)
    const controller = new AbortController()
    const { signal } = controller
    const types: string[] = []
    server.add(configMap('a'))
    server.add(configMap('a', { k: 'v' }))
    server.remove(configMap('a'))
    for await (const event of client.watch(configMaps, { resourceVersion: metadata.resourceVersion, signal })) {
      types.push(event.type)
      if (event.type === 'DELETED') break
    }
    assert.deepEqual(types, ['ADDED', 'MODIFIED', 'DELETED'])
    assert.equal(getEventListeners(signal, 'abort').length, 0)
    await until(() => server.openWatches === 0)
  })

  it('puts events together that arrive in pieces', async () => {
    const events = client.watch(configMaps)
    const first = events.next()
    await until(() => server.openWatches === 1)
    const line = JSON.stringify({ type: 'ADDED', object: configMap('ä'.repeat(2_000)) })
    server.sendRaw(line.slice(0, 50))
    await new Promise((resolve) => setImmediate(resolve))
    server.sendRaw(`${line.slice(50)}\n\n${line}\n`)
    const { value } = (await first) as { value: WatchEvent }
    assert.equal(value.object.metadata.name.length, 2_000)
    assert.equal(((await events.next()).value as WatchEvent).type, 'ADDED')
    server.endWatches()
    assert.equal((await events.next()).done, true)
  })

  it('fails on 410, lost connections and frames that are no events', async () => {
    server.store.revision = 50
    server.store.compact()
    await assert.rejects(client.watch(configMaps, { resourceVersion: '3' }).next(), isGone)
    const cases: readonly [string, () => void, (thrown: unknown) => boolean][] = [
      ['lost', () => server.dropConnections(), (thrown) => thrown instanceof KubeConnectionError],
      ['malformed', () => server.sendRaw('{"type":\n'), (thrown) => thrown instanceof KubeConnectionError],
      ['unknown type', () => server.sendRaw('{"type":"NEWS"}\n'), (thrown) => thrown instanceof KubeConnectionError],
      ['error event', () => server.sendRaw('{"type":"ERROR","object":{"code":410,"reason":"Expired"}}\n'), isGone],
      ['half a frame', () => server.endWatches('{"type"'), (thrown) => thrown instanceof KubeConnectionError],
    ]
    for (const [name, fault, isExpected] of cases) {
      const next = client.watch(configMaps).next()
      await until(() => server.openWatches === 1)
      fault()
      await assert.rejects(next, isExpected, name)
      await until(() => server.openWatches === 0)
    }
  })

  it('reads a watch no faster than its consumer', async () => {
    const events = client.watch(configMaps)
    const first = events.next()
    await until(() => server.openWatches === 1)
    const line = `${JSON.stringify({ type: 'ADDED', object: configMap('a', { pad: 'x'.repeat(100_000) }) })}\n`
    let written = 0
    server.sendRaw(line)
    await first // and then nobody asks for more
    const [response] = server.watchResponses()
    assert.ok(response)
    while (response.write(line) && written < 2_000) {
      written += 1
      await new Promise((resolve) => setImmediate(resolve))
    }
    // 200 MB would have gone through to a reader without back-pressure; socket buffers hold a few.
    assert.ok(written < 500, `${written} events of 100 kB were taken`)
    await events.return()
  })

  it('uses new credentials for new requests', async () => {
    const token = new KubeClient({ server: server.url, token: 'abc' })
    await token.list(configMaps)
    token.setCredentials({})
    await token.list(configMaps)
    token.close()
    assert.equal(server.requests.at(-1)?.headers.authorization, 'Bearer abc')
  })
})

describe('resourcePath', () => {
  it('knows core, group, namespaced and sub-resource paths', () => {
    assert.equal(resourcePath(resources.nodes), '/api/v1/nodes')
    assert.equal(
      resourcePath(inNamespace(resources.deployments, 'n'), 'd', 'scale'),
      '/apis/apps/v1/namespaces/n/deployments/d/scale',
    )
    assert.equal(
      resourcePath({ group: '', version: 'v1', resource: 'secrets' }, 'a/../b'),
      '/api/v1/secrets/a%2F..%2Fb',
    )
  })
})
