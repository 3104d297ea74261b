import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

const CONFIG = `
spec:
  network:
    coreDNS:
      patches:
        - target: { kind: Deployment, name: coredns, namespace: kube-system }
          patch:
            type: StrategicMergePatch
            content: |
              metadata: { labels: { patched: strategic } }
              spec: { template: { spec: { containers: [{ name: coredns, resources: { limits: { memory: 300Mi } } }] } } }
        - target: { kind: Service, name: kube-dns }
          patch: { type: MergePatch, content: '{"metadata":{"labels":{"patched":"merge"}}}' }
  metricsServer:
    patches:
      - target: { kind: Deployment, name: metrics-server }
        patch: { type: JSON, content: '[{"op":"add","path":"/metadata/labels/patched","value":"json"}]' }
`

describe('CoreDNS and metrics-server', () => {
  let cluster: Cluster
  let host: Host

  before(async () => {
    cluster = await sharedCluster('isolated')
    host = cluster.host('addons', 62) // a controller by itself: the objects are looked at, no pod runs
    await host.remove()
    await host.boot()
    await host.write('/etc/k0s/k0s.yaml', CONFIG)
    await cluster.start(host, ['controller', '--config', '/etc/k0s/k0s.yaml'])
  })

  after(async () => {
    await host.remove()
  })

  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look at a few fields of any kind of object
  const get = async (...args: readonly string[]): Promise<any> => {
    const { code, stdout, stderr } = await host.k0s(['kubectl', 'get', '-n', 'kube-system', ...args, '-o', 'json'])
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout) as unknown
  }

  it('carry the patches of the configuration, one of each type', async () => {
    for (const [object, label] of [
      ['deployment/coredns', 'strategic'],
      ['service/kube-dns', 'merge'],
      ['deployment/metrics-server', 'json'],
    ] as const) {
      const { metadata } = await eventually(`${object} is applied`, 30_000, () => get(object))
      assert.equal(metadata.labels.patched, label)
    }
    const { spec } = await get('deployment/coredns')
    assert.equal(spec.template.spec.containers.length, 1)
    assert.equal(spec.template.spec.containers[0].resources.limits.memory, '300Mi')
  })

  it('go from the cluster, whole, when they are disabled', async () => {
    await eventually('the serving certificate is there', 30_000, () => get('secret/metrics-server-tls'))
    assert.equal((await host.k0s(['stop'])).code, 0)
    await eventually('everything has ended', 60_000, async () => {
      assert.ok(!(await host.processes()).some(({ name }) => name !== 'sleep'))
    })
    await cluster.start(host, ['controller', '--disable-components', 'metrics-server,coredns'])
    await eventually('their objects are gone', 60_000, async () => {
      const { items } = await get('deployments,services,configmaps,secrets,serviceaccounts')
      const left = items.filter(({ metadata }: { metadata: { name: string } }) =>
        /^(coredns|kube-dns|metrics-server)/.test(metadata.name),
      )
      assert.deepEqual(left, [])
      const { stdout } = await host.k0s([
        'kubectl',
        'get',
        'apiservices,clusterroles,clusterrolebindings',
        '-o',
        'name',
      ])
      assert.doesNotMatch(stdout, /metrics|coredns/)
    })
    const { stdout } = await host.k0s(['kubectl', 'get', 'crds', '-o', 'name'])
    assert.match(stdout, /ippools\.crd\.projectcalico\.org/, 'what is not disabled stays')
  })
})
