import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { discover, ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'

describe('discovery', () => {
  it('maps kinds to resources and reads again for a kind that appeared', async () => {
    await using server = await FakeApiServer.start()
    const client = new KubeClient({ server: server.url })
    try {
      const known = await discover(client)
      assert.ok(known.some(({ group, kind, namespaced }) => group === 'apps' && kind === 'Deployment' && namespaced))
      const mapper = new ResourceMapper(client)
      const object = { apiVersion: 'example.org/v1', kind: 'Thing', metadata: { name: 'a' } }
      assert.equal(await mapper.refFor(object), undefined)
      server.store.resources.push({
        group: 'example.org',
        version: 'v1',
        kind: 'Thing',
        resource: 'things',
        namespaced: true,
      })
      // Not found is remembered for a moment, so that a burst of objects does not ask for each.
      while ((await mapper.refFor(object)) === undefined) await new Promise((resolve) => setTimeout(resolve, 20))
      assert.deepEqual(await mapper.refFor(object), {
        group: 'example.org',
        version: 'v1',
        resource: 'things',
        namespace: 'default',
      })
      const node = { apiVersion: 'v1', kind: 'Node', metadata: { name: 'a' } }
      assert.deepEqual(await mapper.refFor(node), { group: '', version: 'v1', resource: 'nodes', namespace: undefined })
    } finally {
      client.close()
    }
  })
})
