import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultClusterSpec } from '#pkg/apis/defaults.ts'
import { createBinaries } from '#pkg/assets/binaries.ts'
import { describeGraph } from '#pkg/component/manager/graph.ts'
import { cfgVars, type CfgVars } from '#pkg/config/cfg-vars.ts'
import type { NodeConfig, ResolvedSpec } from '#pkg/config/load.ts'
import { SharedClient } from '#pkg/kubernetes/shared-client.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { assertFreeSpace, assertPortsFree, neededPorts } from '#pkg/role/controller-checks.ts'
import { controllerComponents } from '#pkg/role/controller-graph.ts'
import { imageReference } from '#pkg/role/controller-images.ts'
import type { ControllerRoleOptions } from '#pkg/role/controller-options.ts'
import { publicConfig } from '#pkg/role/controller-status.ts'
import { runController } from '#pkg/role/controller.ts'

function specOf(type: 'etcd' | 'kine'): ResolvedSpec {
  const spec = defaultClusterSpec()
  const api = { ...spec.api, address: '192.0.2.10' }
  return { ...spec, api, storage: { ...spec.storage, type, etcd: { ...spec.storage.etcd, peerAddress: api.address } } }
}

function optionsOf(vars: CfgVars, changes: Partial<ControllerRoleOptions> = {}): ControllerRoleOptions {
  return {
    vars,
    configFile: '/etc/k0s/k0s.yaml',
    enableWorker: false,
    single: false,
    noTaints: false,
    disableComponents: [],
    initOnly: false,
    dryRun: false,
    featureGates: {},
    kubeControllerManagerExtraArgs: '',
    apiServerStopTimeoutMs: 1,
    logLevels: {},
    profile: 'default',
    labels: [],
    taints: [],
    kubeletExtraArgs: '',
    cloudProvider: false,
    ignorePreFlightChecks: false,
    version: '1',
    args: [],
    ...changes,
  }
}

describe('graph of a controller', () => {
  const vars = cfgVars({ dataDir: '/nowhere', runDir: '/nowhere/run' })

  async function stepsOf(
    changes: Partial<ControllerRoleOptions>,
    specChanges: Partial<ResolvedSpec> = {},
  ): Promise<ReadonlyMap<string, readonly string[]>> {
    const options = optionsOf(vars, changes)
    const spec = { ...specOf(options.single ? 'kine' : 'etcd'), ...specChanges }
    const config: NodeConfig = { spec, vars, nodeName: 'c0', warnings: [] }
    const components = await controllerComponents(options, config, {
      log: silentLogger,
      binaries: createBinaries({ binDir: vars.binDir }),
      client: new SharedClient({ kubeconfig: vars.adminKubeconfig }),
      images: {},
    })
    return new Map(describeGraph(components).map(({ name, after }) => [name, after]))
  }

  it('serves the join API where others can join, and there only', async () => {
    assert.ok((await stepsOf({})).has('control-api'))
    for (const changes of [{ single: true }, { disableComponents: ['control-api'] }]) {
      assert.ok(!(await stepsOf(changes)).has('control-api'))
    }
    const kine = (dataSource?: string): Partial<ResolvedSpec> => {
      const { storage } = specOf('kine')
      return { storage: { ...storage, kine: { ...storage.kine, ...(dataSource !== undefined && { dataSource }) } } }
    }
    assert.ok(!(await stepsOf({}, kine())).has('control-api'))
    assert.ok((await stepsOf({}, kine('postgres://db/k0s'))).has('control-api'))
  })

  it('has no part of a worker', async () => {
    const graph = await stepsOf({})
    for (const name of ['kubelet', 'containerd', 'kube-proxy', 'kine']) assert.ok(!graph.has(name), name)
    assert.deepEqual(graph.get('kube-apiserver'), ['certificates', 'etcd'])
    assert.deepEqual(graph.get('kube-scheduler'), ['kube-apiserver'])
  })

  it('has one with --enable-worker, and SQLite with --single', async () => {
    const both = await stepsOf({ enableWorker: true })
    assert.ok(both.has('kubelet') && both.has('etcd'))
    const single = await stepsOf({ single: true })
    assert.ok(single.has('kubelet') && single.has('kine') && !single.has('etcd'))
    assert.deepEqual(single.get('node-certificate'), ['certificates'])
  })

  it('leaves out what is disabled and still fits together', async () => {
    const disableComponents = ['konnectivity-server', 'kube-scheduler', 'coredns', 'kube-proxy', 'network-provider']
    const graph = await stepsOf({ enableWorker: true, disableComponents })
    for (const name of [...disableComponents, 'konnectivity-agent', 'tunnel-events', 'flannel'])
      assert.ok(!graph.has(name), name)
  })

  it('is refused with a patch that does not fit, before anything starts', async () => {
    const target = { kind: 'Deployment', name: 'metrics-server' }
    const patch = { type: 'JSON', content: '[{"op":"remove","path":"/spec/x"}]' } as const
    await assert.rejects(stepsOf({}, { metricsServer: { patches: [{ target, patch }] } }), {
      code: 'ERR_PATCH',
      message:
        'spec.metricsServer.patches[0] cannot be applied to Deployment metrics-server: operation 1: there is no /spec/x',
    })
  })
})

describe('checks before a controller starts', () => {
  let dir: string
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'k0s-role-'))))
  afterEach(() => rm(dir, { recursive: true }))

  it('name the ports that are needed', () => {
    const ports = neededPorts({ spec: specOf('etcd') }, (name) => name !== 'konnectivity-server')
    assert.deepEqual(
      ports.map(({ host, port }) => `${host}:${port}`),
      ['0.0.0.0:6443', '0.0.0.0:9443', '127.0.0.1:10257', '127.0.0.1:10259', '127.0.0.1:2379', '192.0.2.10:2380'],
    )
    assert.ok(!neededPorts({ spec: specOf('kine') }, () => true).some(({ name }) => name === 'etcd'))
  })

  it('refuse a port that a stranger holds', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    try {
      await assert.rejects(
        assertPortsFree([{ name: 'etcd', host: '127.0.0.1', port }]),
        new RegExp(`port ${port} of etcd is in use by .*process ${process.pid}`),
      )
    } finally {
      server.close()
    }
  })

  it('accept a disk with room', () => assertFreeSpace(dir))

  it('refuse a wrong configuration before anything is written', async () => {
    const vars = cfgVars({ dataDir: join(dir, 'data'), runDir: join(dir, 'run') })
    const deps = {
      log: silentLogger,
      signal: new AbortController().signal,
      onHangup: () => () => undefined,
      print: () => undefined,
    }
    const joinToken = (): Promise<string> => Promise.resolve('x')
    const missing = optionsOf(vars, { configFile: join(dir, 'none.yaml') })
    await assert.rejects(runController(missing, deps), /none\.yaml is not valid: there is no such file/)
    await assert.rejects(runController(optionsOf(vars, { joinToken, single: true }), deps), /--single cannot/)
    await assert.rejects(runController(optionsOf(vars, { joinToken }), deps), /the join token is malformed/)
    const virtual = join(dir, 'virtual.yaml')
    const keepalived = { vrrpInstances: [{ virtualIPs: ['192.0.2.100/24'], authPass: 'x' }] }
    const spec = { network: { controlPlaneLoadBalancing: { enabled: true, keepalived } } }
    await writeFile(virtual, JSON.stringify({ apiVersion: 'k0s.k0sproject.io/v1beta1', kind: 'ClusterConfig', spec }))
    await assert.rejects(
      runController(optionsOf(vars, { configFile: virtual, single: true }), deps),
      /--single cannot be combined with spec.network.controlPlaneLoadBalancing/,
    )
    await assert.rejects(rm(vars.dataDir, { recursive: true }), /ENOENT/)
  })
})

describe('images', () => {
  const shipped = { coredns: 'registry.example:5000/k0s/coredns:1.15.0', pause: 'k0s/pause:1' }
  const withImages = (images: object): ResolvedSpec => {
    const spec = specOf('etcd')
    return { ...spec, images: { ...spec.images, ...images } }
  }
  for (const [images, key, expected] of [
    [{}, 'coredns', 'registry.example:5000/k0s/coredns:1.15.0'],
    [{ repository: 'mirror.example/x/' }, 'coredns', 'mirror.example/x/k0s/coredns:1.15.0'],
    [{ coredns: { version: '2' } }, 'coredns', 'registry.example:5000/k0s/coredns:2'],
    [{ coredns: { image: 'a/b', version: '2@sha256:00' } }, 'coredns', 'a/b:2@sha256:00'],
    [{}, 'metricsserver', 'metrics-server'],
    [{ repository: 'mirror.example' }, 'pause', 'mirror.example/k0s/pause:1'],
  ] as const) {
    it(`are chosen: ${JSON.stringify(images)} ${key}`, () =>
      assert.equal(imageReference(withImages(images), key, shipped), expected))
  }
})

describe('the status of a controller', () => {
  it('has no passwords in it', () => {
    const spec = specOf('kine')
    const dataSource = 'postgres://k0s:secret1@db.example/kine'
    const repositories = [{ name: 'a', url: 'https://a', password: 'secret2' }]
    const text = JSON.stringify(
      publicConfig({
        spec: {
          ...spec,
          storage: { ...spec.storage, kine: { ...spec.storage.kine, dataSource } },
          extensions: { ...spec.extensions, helm: { ...spec.extensions.helm, repositories } },
        },
      }),
    )
    assert.ok(!/secret[12]/.test(text), text)
    assert.ok(text.includes('db.example'))
  })
})
