import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { defaultClusterSpec } from '#pkg/apis/defaults.ts'
import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { coreDnsReplicas } from '#pkg/component/cluster/coredns.ts'
import { coreDnsObjects } from '#pkg/component/cluster/coredns-render.ts'
import { metricsServerObjects } from '#pkg/component/cluster/metrics-server-render.ts'
import { renderNetwork } from '#pkg/component/cluster/network-render.ts'
import { patchObjects, type ObjectPatches } from '#pkg/component/cluster/patch-objects.ts'
import { nodeBoundaryObjects } from '#pkg/component/cluster/node-boundary.ts'
import { renderYaml } from '#pkg/component/cluster/objects.ts'
import { rbacObjects } from '#pkg/component/cluster/rbac-objects.ts'
import { workerConfigMaps } from '#pkg/component/cluster/worker-config.ts'
import { featureGates, profileNames, renderWorkerConfig } from '#pkg/component/cluster/worker-config-render.ts'
import { decodeWorkerConfig } from '#pkg/component/worker/worker-config.ts'

const facts = { apiServerAddresses: ['10.0.0.1:6443'], pauseImage: 'k0s.local/pause:v1' }
const defaults = defaultClusterSpec()
const custom: ClusterSpec = {
  ...defaults,
  network: {
    ...defaults.network,
    serviceCIDR: '172.30.0.0/16',
    clusterDomain: 'corp.example',
    dualStack: { enabled: true, IPv6podCIDR: 'fd00::/108', IPv6serviceCIDR: 'fd01::/108' },
  },
  workerProfiles: [
    {
      name: 'small',
      values: { maxPods: 20, authentication: { webhook: { cacheTTL: '1m0s' } }, tlsCipherSuites: ['X'] },
    },
  ],
  featureGates: [
    { name: 'A', enabled: true, components: [] },
    { name: 'B', enabled: false, components: ['kubelet'] },
    { name: 'C', enabled: true, components: ['kube-scheduler'] },
  ],
}
const coreDns = {
  image: 'k0s.local/coredns:v1',
  imagePullPolicy: 'IfNotPresent',
  clusterDNS: '10.96.0.10',
  clusterDomain: 'cluster.local',
  dualStackEnabled: false,
} as const

const metricsServer = { image: 'k0s.local/metrics-server:v1', imagePullPolicy: 'IfNotPresent', caPem: 'CA\n' } as const

/** One patch of each type, as users write them. */
const coreDnsPatches: ObjectPatches = {
  path: 'spec.network.coreDNS.patches',
  patches: [
    {
      target: { kind: 'Deployment', name: 'coredns', namespace: 'kube-system' },
      patch: {
        type: 'StrategicMergePatch',
        content: `
metadata: { labels: { team: dns } }
spec:
  template:
    spec:
      containers:
        - name: coredns
          resources: { limits: { memory: 300Mi } }
          ports: [{ containerPort: 9153, $patch: delete }]
        - name: exporter
          image: example.com/exporter:v1
      volumes: [{ name: extra, emptyDir: {} }]
`,
      },
    },
    {
      target: { kind: 'ConfigMap', name: 'coredns' },
      patch: { type: 'MergePatch', content: '{"data":{"Corefile":".:53 { }","extra":"1"},"metadata":{"labels":null}}' },
    },
  ],
}
const metricsServerPatches: ObjectPatches = {
  path: 'spec.metricsServer.patches',
  patches: [
    {
      target: { kind: 'Deployment', name: 'metrics-server' },
      patch: {
        type: 'JSON',
        content: `
- { op: add, path: /spec/template/spec/containers/0/args/-, value: --v=2 }
- { op: replace, path: /spec/replicas, value: 2 }
- { op: add, path: /metadata/labels/example.com~1team, value: metrics }
`,
      },
    },
  ],
}

/** What is rendered, by golden file in testdata/. `UPDATE_GOLDEN=1 mocha <this file>` writes them anew. */
const goldens: Readonly<Record<string, () => string>> = {
  'rbac.yaml': () =>
    renderYaml(
      rbacObjects({ profiles: ['default', 'small'], kubeletClientUser: 'kubelet-client', controlApiUser: 'api' }),
    ),
  'node-boundary.yaml': () => renderYaml(nodeBoundaryObjects()),
  'worker-config-default.yaml': () => renderYaml(workerConfigMaps({ spec: defaults, ...facts })),
  'worker-config-custom.yaml': () => renderYaml(workerConfigMaps({ spec: custom, ...facts })),
  'coredns.yaml': () => renderYaml(coreDnsObjects(coreDns)),
  'coredns-dual-stack.yaml': () =>
    renderYaml(coreDnsObjects({ ...coreDns, dualStackEnabled: true, clusterDomain: 'corp.example' })),
  'coredns-patched.yaml': () => renderYaml(patchObjects(coreDnsObjects(coreDns), coreDnsPatches).objects),
  'metrics-server.yaml': () => renderYaml(metricsServerObjects(metricsServer)),
  'metrics-server-patched.yaml': () =>
    renderYaml(patchObjects(metricsServerObjects(metricsServer), metricsServerPatches).objects),
  'network.yaml': () => renderNetwork({ podCIDRs: ['10.244.0.0/16', 'fd00::/108'] }),
}

describe('cluster manifests', () => {
  for (const [name, render] of Object.entries(goldens)) {
    it(`render ${name}`, () => {
      const file = join(import.meta.dirname, 'testdata', name)
      if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, render())
      assert.equal(render(), readFileSync(file, 'utf8'))
    })
  }

  it('give a worker back what was rendered', () => {
    const [map] = workerConfigMaps({ spec: defaults, ...facts })
    assert.deepEqual(decodeWorkerConfig(map as never), renderWorkerConfig(defaults, facts, 'default'))
  })

  it('merge a profile into the kubelet configuration, key by key', () => {
    const { kubeletConfiguration } = renderWorkerConfig(custom, facts, 'small')
    assert.equal(kubeletConfiguration['maxPods'], 20)
    assert.deepEqual(kubeletConfiguration['authentication'], {
      anonymous: { enabled: false },
      webhook: { enabled: true, cacheTTL: '1m0s' },
    })
    assert.deepEqual(kubeletConfiguration['tlsCipherSuites'], ['X'])
    assert.deepEqual(kubeletConfiguration['featureGates'], { A: true, B: false })
    assert.deepEqual(kubeletConfiguration['clusterDNS'], ['172.30.0.10'])
    assert.equal(renderWorkerConfig(custom, facts, 'default').kubeletConfiguration['maxPods'], undefined)
  })

  it('know all profiles and the gates of each program', () => {
    assert.deepEqual(profileNames(custom), ['default', 'small'])
    assert.deepEqual(featureGates(custom, 'kube-scheduler'), { A: true, C: true })
  })

  it('scale DNS when a second node can take it, and not for a node that is away for a while', () => {
    const node = (ready: string, unschedulable = false) => ({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name: 'n' },
      spec: { unschedulable },
      status: { conditions: [{ type: 'Ready', status: ready }] },
    })
    const up = node('True')
    assert.equal(coreDnsReplicas([]), 1)
    assert.equal(coreDnsReplicas([up]), 1)
    assert.equal(coreDnsReplicas([up, node('False')]), undefined)
    assert.equal(coreDnsReplicas([up, node('True', true)]), undefined)
    assert.equal(coreDnsReplicas([up, up, node('Unknown')]), 2)
  })
})
