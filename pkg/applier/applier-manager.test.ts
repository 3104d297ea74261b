import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, beforeEach, afterEach } from 'mocha'
import { ApplierManager } from '#pkg/applier/applier-manager.ts'
import { KubeClient } from '#pkg/kubernetes/client.ts'
import { fail, FakeApiServer } from '#pkg/kubernetes/testing/fake-api-server.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

const configMap = (name: string, value = ''): string =>
  `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}, namespace: kube-system}\ndata: {value: "${value}"}\n`
const configMaps = { group: '', version: 'v1', resource: 'configmaps', namespace: 'kube-system' }

describe('ApplierManager', () => {
  let dir: string
  let server: FakeApiServer
  let client: KubeClient
  let errors: string[]
  let managers: ApplierManager[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-applier-'))
    server = await FakeApiServer.start()
    client = new KubeClient({ server: server.url })
    errors = []
    managers = []
  })
  afterEach(async () => {
    await Promise.all(managers.map((manager) => manager.stop()))
    client.close()
    await server.stop()
    await rm(dir, { recursive: true })
  })

  async function start(nodeName = 'c0', firstSweepMs = 60_000): Promise<ApplierManager> {
    const lease = { leaseDurationMs: 3_000, renewDeadlineMs: 2_000, retryPeriodMs: 20 }
    const manager = new ApplierManager(
      { manifestsDir: dir, nodeName, firstSweepMs, sweepEveryMs: 100, lease },
      { client: { get: () => Promise.resolve(client) } },
    )
    managers.push(manager)
    const log = { ...silentLogger, error: (_: string, fields?: object) => void errors.push(JSON.stringify(fields)) }
    log.child = () => log
    await manager.start({ signal: new AbortController().signal, log })
    return manager
  }

  async function put(path: string, text: string): Promise<void> {
    await mkdir(join(dir, path, '..'), { recursive: true })
    await writeFile(join(dir, path), text)
  }

  const has = (name: string): boolean => server.find(configMaps, name) !== undefined
  const value = (name: string): unknown =>
    (server.find(configMaps, name)?.['data'] as { value: string } | undefined)?.value

  it('applies what is there, what is added and what is changed', async () => {
    await put('web/a.yaml', configMap('a', '1'))
    await put('web/ignored.yml', configMap('ignored'))
    await put('web/deeper/b.yaml', configMap('deeper'))
    await start()
    await until(() => has('a'))
    await put('web/b.yaml', configMap('b'))
    await put('dns/c.yaml', configMap('c'))
    await put('web/a.yaml', configMap('a', '2'))
    await until(() => has('b') && has('c') && value('a') === '2')
    assert.equal(has('ignored') || has('deeper'), false)
  })

  it('prunes objects, files and whole stacks that were removed', async () => {
    await put('web/a.yaml', configMap('a') + configMap('b'))
    await put('web/c.yaml', configMap('c'))
    await put('dns/d.yaml', configMap('d'))
    await start()
    await until(() => ['a', 'b', 'c', 'd'].every(has))
    await put('web/a.yaml', configMap('a'))
    await rm(join(dir, 'web/c.yaml'))
    await rm(join(dir, 'dns'), { recursive: true })
    await until(() => !has('b') && !has('c') && !has('d'))
    assert.ok(has('a'))
  })

  it('goes on with other files and prunes nothing while one cannot be read', async () => {
    await put('web/a.yaml', configMap('a') + configMap('b'))
    await start()
    await until(() => has('b'))
    await put('web/a.yaml', `${configMap('a')}---\n{{ template }}\n`)
    await put('web/c.yaml', configMap('c'))
    await put('dns/d.yaml', configMap('d'))
    await until(() => has('c') && has('d') && errors.length === 1)
    assert.ok(has('a') && has('b'))
    assert.match(errors[0]!, /web\/a\.yaml, document/)
    await put('web/a.yaml', configMap('a'))
    await until(() => !has('b'))
  })

  it('never prunes when the directory is gone', async () => {
    await put('web/a.yaml', configMap('a'))
    await start()
    await until(() => has('a'))
    await rename(dir, `${dir}.away`)
    await until(() => errors.length === 1)
    assert.match(errors[0]!, /ENOENT/)
    assert.ok(has('a'))
    await rename(`${dir}.away`, dir)
  })

  it('does not prune what no longer carries the label', async () => {
    await put('web/a.yaml', configMap('a') + configMap('b'))
    await start()
    await until(() => has('a') && has('b'))
    server.add(object('b')) // somebody took the label off
    await put('web/a.yaml', configMap('a'))
    await until(() => server.requests.some(({ method, path }) => method === 'GET' && path.endsWith('/configmaps/b')))
    await put('web/a.yaml', configMap('a') + configMap('c'))
    await until(() => has('c'))
    assert.ok(has('b'))
  })

  it('does not prune what another applied under the same label', async () => {
    server.add(object('foreign', { 'k0s.k0sproject.io/stack': 'web' }))
    await put('web/a.yaml', configMap('a'))
    await start('c0', 50)
    const sweeps = (): number => server.requests.filter(({ path }) => path === '/api/v1/secrets').length
    await until(() => has('a') && sweeps() > 1)
    assert.ok(has('foreign'))
  })

  it('after a restart applies only what changed, and prunes what was removed meanwhile', async () => {
    await put('web/a.yaml', configMap('a') + configMap('b'))
    await put('web/c.yaml', configMap('c'))
    await put('old/d.yaml', configMap('d'))
    const first = await start()
    await until(() => ['a', 'b', 'c', 'd'].every(has))
    await first.stop()
    await rm(join(dir, 'web/c.yaml'))
    await rm(join(dir, 'old'), { recursive: true })
    await put('web/a.yaml', configMap('a') + configMap('b', 'new'))
    server.requests.length = 0
    await start('c0', 50)
    await until(() => !has('c') && !has('d'))
    const patched = server.requests.filter(({ method }) => method === 'PATCH').map(({ path }) => path.split('/').at(-1))
    assert.deepEqual(patched, ['b'])
  })

  it('applies again what was deleted from the cluster', async () => {
    await put('web/a.yaml', configMap('a'))
    await start('c0', 50)
    await until(() => has('a'))
    server.remove(server.find(configMaps, 'a')!)
    await until(() => has('a'))
  })

  it('waits for kinds and namespaces that come later', async () => {
    const crd = `apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example.org}\n`
    const thing = `---\napiVersion: example.org/v1\nkind: Thing\nmetadata: {name: a, namespace: team}\n`
    await put('web/a.yaml', crd + thing)
    await start()
    const things = { group: 'example.org', version: 'v1', resource: 'things', namespace: 'team' }
    await until(
      () =>
        server.find(
          { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions' },
          'things.example.org',
        ) !== undefined,
    )
    server.store.resources.push({
      group: 'example.org',
      version: 'v1',
      kind: 'Thing',
      resource: 'things',
      namespaced: true,
    })
    await put('ns/ns.yaml', 'apiVersion: v1\nkind: Namespace\nmetadata: {name: team}\n')
    await until(() => server.find(things, 'a') !== undefined)
    assert.deepEqual(errors, [])
  })

  it('names an object that the API server refuses, once, and tries it again when it changes', async () => {
    server.intercept = ({ method, body }, response) => {
      const isBad = method === 'PATCH' && (body as { data?: { value?: string } }).data?.value === 'bad'
      if (isBad) fail(response, 422, 'Invalid', 'value: not allowed')
      return isBad
    }
    await put('web/a.yaml', configMap('a', 'bad') + configMap('b'))
    await start()
    await until(() => has('b') && errors.length === 1)
    assert.match(errors[0]!, /ConfigMap kube-system\/a.*not allowed/)
    await put('web/a.yaml', configMap('a', 'good') + configMap('b'))
    await until(() => value('a') === 'good')
  })

  it('lets one controller apply at a time, which does not prune the stacks of others', async () => {
    await put('web/a.yaml', configMap('a'))
    const first = await start('c0')
    await until(() => has('a'))
    await start('c1', 50)
    await rm(join(dir, 'web'), { recursive: true })
    await until(() => !has('a'))
    await put('web/b.yaml', configMap('b'))
    await until(() => has('b'))
    await first.stop()
    await rm(join(dir, 'web'), { recursive: true })
    await put('dns/d.yaml', configMap('d'))
    await until(() => has('d'))
    await until(() => server.requests.some(({ path }) => path === '/api/v1/secrets'))
    assert.ok(has('b')) // applied by c0
  })
})

function object(name: string, labels: Record<string, string> = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'kube-system', labels } }
}
