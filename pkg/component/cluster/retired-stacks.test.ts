import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { describe, it } from 'mocha'
import { retiredStacks } from '#pkg/component/cluster/retired-stacks.ts'
import { writeStack } from '#pkg/component/cluster/stack-files.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const secrets = { group: '', version: 'v1', resource: 'secrets', namespace: 'kube-system' }

describe('stacks of disabled components', () => {
  it('are removed, with what the component made besides; the others stay', async () => {
    await using dir = await tempDir()
    await using server = await FakeApiServer.start()
    await using stack = new AsyncDisposableStack()
    const client = new KubeClient({ server: server.url })
    stack.defer(() => client.close())
    await writeStack(dir.path, 'coredns', { 'coredns.yaml': 'a: 1\n' })
    await writeStack(dir.path, 'metrics-server', { 'metric_server.yaml': 'a: 1\n' })
    const metadata = { name: 'metrics-server-tls', namespace: 'kube-system' }
    server.add({ apiVersion: 'v1', kind: 'Secret', metadata })
    const retired = retiredStacks(
      { manifestsDir: dir.path, owners: ['metrics-server', 'network-provider'] },
      { client: { get: () => Promise.resolve(client) } },
    )
    const { signal } = new AbortController()
    await retired.start({ signal, log: silentLogger })
    stack.defer(() => retired.stop())
    assert.deepEqual(await readdir(dir.path), ['coredns'])
    await until(() => server.find(secrets, metadata.name) === undefined)
  })
})
