import assert from 'node:assert/strict'
import { describe, it, beforeEach, afterEach } from 'mocha'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { reflect, type Change } from '#pkg/kubernetes/reflector.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import { fail, FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const configMap = (name: string, value = ''): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data: { value },
})

describe('reflect', () => {
  let server: FakeApiServer
  let client: KubeClient
  let stop: AbortController
  let running: Promise<void>
  let changes: string[]
  let state: string[]
  beforeEach(async () => {
    server = await FakeApiServer.start()
    client = new KubeClient({ server: server.url })
    stop = new AbortController()
    changes = []
    state = []
    server.add(configMap('a'))
    running = reflect(client, inNamespace(resources.configMaps, 'default'), {
      signal: stop.signal,
      maxBackoffMs: 20,
      onChange: (change: Change<KubeObject>) => void changes.push(`${change.type} ${change.object.metadata.name}`),
      onState: (objects) => void (state = [...objects.keys()]),
    })
    await until(() => server.openWatches === 1)
  })
  afterEach(async () => {
    stop.abort(new Error('test over'))
    await running
    client.close()
    await server.stop()
  })

  it('reports the present and what changes', async () => {
    server.add(configMap('b'))
    server.add(configMap('b', 'x'))
    server.remove(configMap('a'))
    await until(() => changes.length === 4)
    assert.deepEqual(changes, ['added a', 'added b', 'modified b', 'deleted a'])
    assert.deepEqual(state, ['default/b'])
  })

  it('continues after the server ended the watch, the connection broke, or sent nonsense, without telling twice', async () => {
    const faults = [() => server.endWatches(), () => server.dropConnections(), () => server.sendRaw('nonsense\n')]
    for (const [index, fault] of faults.entries()) {
      fault()
      server.add(configMap(`f${index}`))
      await until(() => changes.includes(`added f${index}`) && server.openWatches === 1)
    }
    assert.deepEqual(changes, ['added a', 'added f0', 'added f1', 'added f2'])
  })

  it('lists again after 410 and reports the difference', async () => {
    server.intercept = (_request, response) => (fail(response, 503, 'ServiceUnavailable', 'starting'), true)
    server.dropConnections()
    server.remove(configMap('a'))
    server.add(configMap('b'))
    server.store.compact()
    server.intercept = () => false
    await until(() => changes.length === 3)
    assert.deepEqual(changes, ['added a', 'deleted a', 'added b'])
  })

  it('finds a server that restarted on the same port', async () => {
    const { port } = server
    await server.stop()
    server.add(configMap('b'))
    await server.listen(port)
    await until(() => changes.length === 2)
    assert.deepEqual(changes, ['added a', 'added b'])
  })
})
