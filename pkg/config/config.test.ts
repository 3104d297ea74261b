import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { parse } from 'yaml'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { cfgVars, defaultConfigFile } from '#pkg/config/cfg-vars.ts'
import { renderDefaultConfig } from '#pkg/config/create.ts'
import { exportSchema } from '#pkg/config/export-schema.ts'
import { checkConfig, loadNodeConfig } from '#pkg/config/load.ts'
import { ConfigError } from '#pkg/config/problem.ts'
import { validate } from '#pkg/config/validate.ts'

const testdata = (name: string): string => readFileSync(new URL(`testdata/${name}`, import.meta.url), 'utf8')

/** The problems of a spec given as YAML, one string each. */
function problemsOf(text: string): readonly string[] {
  try {
    checkConfig(text, 'test.yaml')
    return []
  } catch (err) {
    assert.ok(err instanceof ConfigError, String(err))
    assert.ok(!err.message.includes('\n'), 'one line')
    return err.problems.map(({ path, message }) => `${path}: ${message}`)
  }
}

describe('configuration', () => {
  for (const [what, text, problem] of [
    ['unknown key', 'spec: {network: {podCDIR: x}}', 'spec.network.podCDIR: unknown key; did you mean podCIDR?'],
    ['unknown key, nothing near', 'spec: {quux: 1}', 'spec.quux: unknown key'],
    ['unknown key at the top', 'sepc: {}', 'sepc: unknown key; did you mean spec?'],
    ['wrong type', 'spec: {api: {port: "6443"}}', 'spec.api.port: must be an integer, not "6443"'],
    [
      'number for a string',
      'spec: {api: {extraArgs: {v: 4}}}',
      'spec.api.extraArgs.v: must be a string, not 4; write it in quotes',
    ],
    ['list for a mapping', 'spec: {api: []}', 'spec.api: must be a mapping, not a list'],
    ['out of range', 'spec: {api: {port: 70000}}', 'spec.api.port: must be between 1 and 65535, not 70000'],
    [
      'no such word',
      'spec: {network: {flannel: {backend: udp}}}',
      'spec.network.flannel.backend: must be one of vxlan, host-gw, not "udp"',
    ],
    [
      'no duration',
      'spec: {api: {ca: {expiresAfter: 1y}}}',
      'spec.api.ca.expiresAfter: "1y" is not a duration; write it as 8760h, 90m or 30s',
    ],
    ['missing in a list', 'spec: {workerProfiles: [{values: {}}]}', 'spec.workerProfiles[0].name: is required'],
    ['wrong kind', 'kind: Pod', 'kind: must be ClusterConfig, not "Pod"'],
    [
      'broken YAML',
      'spec:\n  api: {port: 1\n',
      ': line 3, column 1: Flow map in block collection must be sufficiently indented and end with a }',
    ],
    ['a key twice', 'spec: {}\nspec: {}', ': line 2, column 1: Map keys must be unique'],
    ['no mapping', '- a', ': not a mapping of keys to values'],
    ['two documents', 'spec: {}\n---\nspec: {}', ': more than one YAML document; keep one'],
    [
      'overlap',
      'spec: {network: {podCIDR: 10.96.0.0/16}}',
      'spec.network.serviceCIDR: 10.96.0.0/12 overlaps with spec.network.podCIDR 10.96.0.0/16; choose networks that share no address',
    ],
    [
      'patch without a target',
      'spec: {metricsServer: {patches: [{target: {kind: Service}, patch: {type: JSON, content: "[]"}}]}}',
      'spec.metricsServer.patches[0].target.name: is required',
    ],
    [
      'patch of no type',
      'spec: {metricsServer: {patches: [{target: {kind: A, name: b}, patch: {type: Merge, content: a}}]}}',
      'spec.metricsServer.patches[0].patch.type: must be one of JSON, MergePatch, StrategicMergePatch, not "Merge"',
    ],
    [
      'patch that is none of its type',
      'spec: {network: {coreDNS: {patches: [{target: {kind: A, name: b}, patch: {type: JSON, content: "a: 1"}}]}}}',
      'spec.network.coreDNS.patches[0].patch.content: a JSON patch is a list of operations',
    ],
    [
      'no CIDR',
      'spec: {network: {podCIDR: 10.0.0.0}}',
      'spec.network.podCIDR: "10.0.0.0" is not a CIDR; write it as 10.244.0.0/16',
    ],
    [
      'service network too large',
      'spec: {network: {serviceCIDR: 11.0.0.0/8}}',
      'spec.network.serviceCIDR: 11.0.0.0/8 is too large; use a prefix of /12 to /28',
    ],
    [
      'pod network too small',
      'spec: {network: {podCIDR: 10.1.0.0/26}}',
      'spec.network.podCIDR: 10.1.0.0/26 is too small: each node takes a /24 of it',
    ],
    [
      'virtual addresses without any',
      'spec: {network: {controlPlaneLoadBalancing: {enabled: true}}}',
      'spec.network.controlPlaneLoadBalancing.keepalived.vrrpInstances: needs at least one instance with a virtual address',
    ],
    [
      'virtual address without a prefix length',
      'spec: {network: {controlPlaneLoadBalancing: {enabled: true, keepalived: {vrrpInstances: [{virtualIPs: [192.0.2.9], authPass: a}]}}}}',
      'spec.network.controlPlaneLoadBalancing.keepalived.vrrpInstances[0].virtualIPs: "192.0.2.9" is not an address with prefix length; write it as 192.0.2.100/24',
    ],
    [
      'VRRP password that keepalived cannot read',
      'spec: {network: {controlPlaneLoadBalancing: {enabled: true, keepalived: {vrrpInstances: [{virtualIPs: [192.0.2.9/24], authPass: "a b"}]}}}}',
      'spec.network.controlPlaneLoadBalancing.keepalived.vrrpInstances[0].authPass: may have letters, digits and any of . _ : / @ % + = , - only',
    ],
    [
      'kuberouter',
      'spec: {network: {provider: kuberouter}}',
      'spec.network.provider: kuberouter is not part of this product; use flannel',
    ],
    [
      'calico',
      'spec: {network: {provider: calico}}',
      'spec.network.provider: calico is not available yet; use flannel',
    ],
    [
      'ipvs',
      'spec: {network: {kubeProxy: {mode: ipvs}}}',
      'spec.network.kubeProxy.mode: ipvs is not available; use nftables or iptables',
    ],
    [
      'one port twice',
      'spec: {api: {k0sApiPort: 6443}}',
      'spec.api.k0sApiPort: port 6443 is that of spec.api.port already',
    ],
    ['no address', 'spec: {api: {address: controller}}', 'spec.api.address: "controller" is not an IP address'],
    ['no name', 'spec: {api: {sans: ["a b"]}}', 'spec.api.sans[0]: "a b" is not an IP address or a DNS name'],
    [
      'another database',
      'spec: {storage: {kine: {dataSource: "oracle://u:p@db/x"}}}',
      'spec.storage.kine.dataSource: "oracle" is not a database that k0s knows; use sqlite://, postgres:// or mysql://',
    ],
    [
      'a relative path for kine',
      'spec: {storage: {kine: {extraArgs: {ca-file: ca.crt}}}}',
      'spec.storage.kine.extraArgs.ca-file: not an absolute path; give one',
    ],
    [
      'half of TLS',
      'spec: {storage: {etcd: {externalCluster: {endpoints: [a], etcdPrefix: x, caFile: y}}}}',
      'spec.storage.etcd.externalCluster: give all of caFile, clientCertFile and clientKeyFile, or none',
    ],
    [
      'managed field',
      'spec: {workerProfiles: [{name: a, values: {clusterDNS: []}}]}',
      'spec.workerProfiles[0].values.clusterDNS: is set by the controller; remove it',
    ],
    [
      'gate of nothing',
      'spec: {featureGates: [{name: A, enabled: true, components: [etcd]}]}',
      'spec.featureGates[0].components[0]: "etcd" is not one of kube-apiserver, kube-controller-manager, kubelet, kube-scheduler, kube-proxy',
    ],
    [
      'too short a life',
      'spec: {api: {ca: {certificatesExpireAfter: 1m}}}',
      'spec.api.ca.certificatesExpireAfter: 1m is too short; use at least 10m',
    ],
  ] as const) {
    it(`is refused: ${what}`, () => assert.deepEqual(problemsOf(text), [problem]))
  }

  it('names all problems at once', () => {
    const text = 'spec: {api: {port: x}, network: {podCDIR: 1}, foo: 1}'
    assert.deepEqual(
      problemsOf(text).map((problem) => problem.split(':')[0]),
      ['spec.api.port', 'spec.network.podCDIR', 'spec.foo'],
    )
  })

  it('is accepted empty, with nulls, and with the keys that k0s removed', () => {
    assert.deepEqual(problemsOf(''), [])
    assert.deepEqual(problemsOf('# nothing\n'), [])
    assert.deepEqual(problemsOf('spec: {api: null, network: {podCIDR: }}'), [])
    const { warnings } = checkConfig('spec: {telemetry: {interval: 2m}, podSecurityPolicy: {}}', 'x')
    assert.deepEqual(
      warnings.map(({ path }) => path),
      ['spec.telemetry', 'spec.telemetry.interval', 'spec.podSecurityPolicy'],
    )
  })

  it("as k0s's config create prints it is accepted but for the provider", () => {
    const text = testdata('k0s-config-create.yaml')
    assert.deepEqual(problemsOf(text), ['spec.network.provider: kuberouter is not part of this product; use flannel'])
    const { config, warnings } = checkConfig(text.replace('provider: kuberouter', 'provider: flannel'), 'x')
    assert.equal(config.spec.network.kubeProxy.mode, 'iptables')
    assert.deepEqual(warnings.map(({ path }) => path).sort(), [
      'spec.extensions.helm',
      'spec.network.kubeProxy.ipvs',
      'spec.network.kuberouter',
      'spec.network.nodeLocalLoadBalancing.enabled',
      'spec.network.nodeLocalLoadBalancing.envoyProxy.konnectivityServerBindPort',
      'spec.telemetry',
    ])
  })

  it('as config create prints it is accepted without a warning and means the defaults', () => {
    const images = { pause: { image: 'k0s/pause', version: '1' } }
    const text = renderDefaultConfig({ address: '192.0.2.1', images })
    const { config, warnings } = checkConfig(text, 'x')
    assert.deepEqual(warnings, [])
    const defaults = checkConfig('', 'x').config.spec
    assert.deepEqual(config.spec, {
      ...defaults,
      api: { ...defaults.api, address: '192.0.2.1' },
      storage: { ...defaults.storage, type: 'etcd' },
      images: { ...defaults.images, ...images },
    })
    assert.match(text, /port: 6443 # Port of the Kubernetes API\./)
  })

  it('in config/samples is accepted', () => {
    for (const name of ['default.yaml', 'custom-network.yaml']) {
      const text = readFileSync(new URL(`../../config/samples/${name}`, import.meta.url), 'utf8')
      assert.deepEqual(problemsOf(text), [], name)
    }
  })

  it('is judged as Ajv judges it', () => {
    const schema = asJsonSchema(clusterConfigSchema)
    const ajv = new Ajv({ strict: false }).compile(exportSchema(schema))
    for (const text of [
      testdata('k0s-config-create.yaml'),
      renderDefaultConfig(),
      'spec: {api: {port: 0}}',
      'spec: {api: {port: 1.5}}',
      'spec: {api: {sans: [1]}}',
      'spec: {nope: 1}',
      'spec: {workerProfiles: [{}]}',
      'spec: {workerProfiles: [{name: ""}]}',
      'spec: {workerProfiles: [{name: a, values: {maxPods: 3}}]}',
      'spec: {storage: {etcd: {externalCluster: {endpoints: [], etcdPrefix: a}}}}',
      'spec: {storage: {type: mysql}}',
      'spec: {network: {controlPlaneLoadBalancing: {keepalived: {vrrpInstances: [{authPass: longer-than-8}]}}}}',
      'spec: {images: {coredns: {image: a, version: b}, calico: {cni: {image: c}}}}',
    ]) {
      const value: unknown = parse(text)
      assert.equal(validate(schema, value).length === 0, ajv(value), text)
    }
  })
})

describe('loadNodeConfig', () => {
  let dir: string
  beforeEach(async () => (dir = await mkdtemp(join(tmpdir(), 'k0s-config-'))))
  afterEach(() => rm(dir, { recursive: true }))
  const vars = cfgVars({ dataDir: '/d', runDir: '/r' })

  it('fills in what depends on the host and the flags', async () => {
    const configFile = join(dir, 'k0s.yaml')
    await writeFile(configFile, 'spec: {api: {address: 192.0.2.9}}')
    const { spec, nodeName } = await loadNodeConfig({ configFile, vars, single: true, nodeName: 'c0' })
    assert.equal(nodeName, 'c0')
    assert.equal(spec.storage.type, 'kine')
    assert.equal(spec.storage.etcd.peerAddress, '192.0.2.9')
    const etcd = await loadNodeConfig({ configFile, vars, single: false })
    assert.equal(etcd.spec.storage.type, 'etcd')
  })

  it('needs a file that was named, not the default one', async () => {
    const missing = join(dir, 'none.yaml')
    await assert.rejects(
      loadNodeConfig({ configFile: missing, vars, single: false }),
      /none\.yaml is not valid: there is no such file$/,
    )
    assert.ok(defaultConfigFile.startsWith('/etc/k0s'))
  })
})
