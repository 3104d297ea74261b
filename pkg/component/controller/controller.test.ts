import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultClusterSpec, withDefaults } from '#pkg/apis/defaults.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterSpecSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { apiServerArgs, egressSelectorConfig } from '#pkg/component/controller/apiserver-args.ts'
import { ensurePki } from '#pkg/component/controller/certificates.ts'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { controllerManagerArgs } from '#pkg/component/controller/controller-manager.ts'
import { etcdArgs } from '#pkg/component/controller/etcd-args.ts'
import { kineArgs, kineEnvironment, metricsAddress } from '#pkg/component/controller/kine.ts'
import { konnectivityServerArgs } from '#pkg/component/controller/konnectivity-server.ts'
import { servingNames } from '#pkg/component/controller/pki.ts'
import { schedulerArgs } from '#pkg/component/controller/scheduler.ts'
import { testOptions } from '#pkg/component/controller/testing/options.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import type { ResolvedSpec } from '#pkg/config/load.ts'
import { silentLogger } from '#pkg/log/logger.ts'

function resolved(given: unknown, type: 'etcd' | 'kine' = 'etcd'): ResolvedSpec {
  const spec = withDefaults(asJsonSchema(clusterSpecSchema), given) as ReturnType<typeof defaultClusterSpec>
  const api = { ...spec.api, address: '192.0.2.10' }
  return { ...spec, api, storage: { ...spec.storage, type, etcd: { ...spec.storage.etcd, peerAddress: api.address } } }
}

const options = testOptions({
  vars: cfgVars({ dataDir: '/var/lib/k0s', runDir: '/run/k0s' }),
  spec: resolved({}),
  nodeName: 'controller0',
})

/** UPDATE_GOLDEN=1 writes the files anew; read the difference before committing it. */
function assertGolden(name: string, text: string): void {
  const file = new URL(`testdata/${name}`, import.meta.url)
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text)
  assert.equal(text, readFileSync(file, 'utf8'))
}
const lines = (args: readonly string[]): string => `${args.join('\n')}\n`

describe('command lines of a controller', () => {
  for (const [name, render] of Object.entries({
    'kube-apiserver': apiServerArgs,
    'kube-controller-manager': controllerManagerArgs,
    'kube-scheduler': schedulerArgs,
    etcd: (of: ControllerOptions) => etcdArgs(of, { alone: true }),
    'etcd-joining': (of: ControllerOptions) =>
      etcdArgs(of, {
        initialCluster: ['c0=https://192.0.2.9:2380', 'controller0=https://192.0.2.10:2380'],
        alone: false,
      }),
    kine: kineArgs,
    'konnectivity-server': konnectivityServerArgs,
  })) {
    it(`are pinned: ${name}`, () => assertGolden(`${name}.args`, lines(render(options))))
  }

  it('are pinned: egress selector', () =>
    assertGolden('egress-selector.json', egressSelectorConfig(options.vars.konnectivitySocket)))

  it('carry what the user adds, the last word being theirs', () => {
    const spec = resolved({
      api: {
        extraArgs: { 'audit-log-path': '-', profiling: 'true' },
        rawArgs: ['--v=9', '--v=8'],
        onlyBindToAddress: true,
      },
      featureGates: [
        { name: 'A', enabled: true, components: ['kube-apiserver'] },
        { name: 'B', enabled: true, components: ['kubelet'] },
      ],
    })
    const args = apiServerArgs({ ...options, spec, featureGates: { C: false } })
    for (const expected of [
      '--audit-log-path=-',
      '--profiling=true',
      '--bind-address=192.0.2.10',
      '--feature-gates=A=true,C=false',
    ]) {
      assert.ok(args.includes(expected), expected)
    }
    assert.deepEqual(args.slice(-2), ['--v=9', '--v=8'])
    const manager = controllerManagerArgs({ ...options, controllerManagerExtraArgs: ['--v=4'] })
    assert.equal(manager.at(-1), '--v=4')
  })

  it('let the health of kine be asked where it says that it listens', () => {
    const withMetrics = (address: string): string | undefined => {
      const extraArgs = { 'metrics-bind-address': address }
      return metricsAddress(kineArgs({ ...options, spec: resolved({ storage: { kine: { extraArgs } } }, 'kine') }))
    }
    assert.equal(metricsAddress(kineArgs(options)), '127.0.0.1:2380')
    assert.equal(withMetrics(':9100'), '127.0.0.1:9100')
    assert.equal(withMetrics('0'), undefined)
  })

  it('never show the password of a database', () => {
    const dataSource = 'postgres://k0s:secret@db/k0s'
    for (const kine of [{ dataSource }, { extraArgs: { endpoint: dataSource } }]) {
      const given = { ...options, spec: resolved({ storage: { kine } }, 'kine') }
      assert.deepEqual(kineArgs(given), [
        '--listen-address=unix:///run/k0s/kine/kine.sock',
        '--metrics-bind-address=127.0.0.1:2380',
      ])
      assert.deepEqual(kineEnvironment(given), { KINE_ENDPOINT: dataSource })
    }
    assert.deepEqual(kineEnvironment(options), {})
  })

  it('follow the storage and the flags of the command line', () => {
    const kine = apiServerArgs({ ...options, spec: resolved({}, 'kine'), tunnel: false })
    assert.ok(kine.includes('--etcd-servers=unix:///run/k0s/kine/kine.sock'))
    assert.ok(!kine.some((arg) => arg.startsWith('--egress-selector') || arg.startsWith('--etcd-cafile')))
    const externalCluster = { endpoints: ['https://a:2379', 'https://b:2379'], etcdPrefix: 'one' }
    const external = apiServerArgs({ ...options, spec: resolved({ storage: { etcd: { externalCluster } } }) })
    assert.ok(external.includes('--etcd-servers=https://a:2379,https://b:2379'))
    assert.ok(external.includes('--etcd-prefix=one'))
    const tls = { caFile: '/a/ca.crt', clientCertFile: '/a/client.crt', clientKeyFile: '/a/client.key' }
    const spec = resolved({ storage: { etcd: { externalCluster: { ...externalCluster, ...tls } } } })
    // A copy: the one that was given may be for root's eyes only.
    assert.ok(apiServerArgs({ ...options, spec }).includes('--etcd-keyfile=/var/lib/k0s/pki/external-etcd/client.key'))
    assert.ok(schedulerArgs({ ...options, single: true }).includes('--leader-elect=false'))
  })
})

describe('PKI of a controller', () => {
  let dataDir: string
  beforeEach(async () => (dataDir = await mkdtemp(join(tmpdir(), 'k0s-pki-'))))
  afterEach(() => rm(dataDir, { recursive: true }))

  it('has every file, keys private, and stays as it is at the next start', async () => {
    const mine: ControllerOptions = { ...options, vars: cfgVars({ dataDir, runDir: join(dataDir, 'run') }) }
    const { authorities, leaves } = await ensurePki(mine, silentLogger)
    const server = new X509Certificate(leaves.server?.certPem ?? '')
    assert.ok(
      server.verify(
        authorities.ca.key.type === 'private'
          ? new X509Certificate(authorities.ca.certPem).publicKey
          : authorities.ca.key,
      ),
    )
    for (const ip of ['127.0.0.1', '::1', '10.96.0.1', '192.0.2.10']) assert.ok(server.checkIP(ip), ip)
    for (const name of ['localhost', 'kubernetes.default.svc.cluster.local', 'controller0'])
      assert.ok(server.checkHost(name), name)
    const files = await readdir(join(dataDir, 'pki'), { recursive: true })
    assertGolden('pki.files', lines(files.sort()))
    for (const file of files.filter((name) => /\.(key|conf)$/.test(name))) {
      assert.equal((await stat(join(dataDir, 'pki', file))).mode & 0o777, 0o600, file)
    }
    const again = await ensurePki(mine, silentLogger)
    assert.deepEqual(again.leaves, leaves)
  })

  it('serves under every name that the configuration gives', () => {
    const spec = resolved({ api: { sans: ['k8s.example', '203.0.113.7'], externalAddress: 'lb.example' } })
    const { dnsNames, ips } = servingNames({ spec, nodeName: 'c0' })
    assert.ok(['k8s.example', 'lb.example', 'c0'].every((name) => dnsNames.includes(name)))
    assert.ok(ips.includes('203.0.113.7'))
  })
})
