import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { withDefaults } from '#pkg/apis/defaults.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterSpecSchema, type ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { apiServers, type EndpointSlice } from '#pkg/component/controller/control-plane-balancer.ts'
import { renderCplbRedirect } from '#pkg/component/controller/cplb-redirect.ts'
import { renderKeepalivedConfig } from '#pkg/component/controller/keepalived-config.ts'
import { servingNames } from '#pkg/component/controller/pki.ts'
import { balancesVirtualAddresses, interfaceOf, virtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import type { ResolvedSpec } from '#pkg/config/load.ts'

function specWith(controlPlaneLoadBalancing: object): ResolvedSpec {
  const given = { api: { address: '192.0.2.10' }, network: { controlPlaneLoadBalancing } }
  return withDefaults(asJsonSchema(clusterSpecSchema), given) as ClusterSpec as ResolvedSpec
}

const instances = [
  { virtualIPs: ['192.0.2.100/24', '192.0.2.101/24'], authPass: 'secret' },
  {
    virtualIPs: ['2001:db8::100/64'],
    authPass: 'other',
    interface: 'eth1',
    virtualRouterID: 7,
    advertIntervalSeconds: 2,
    unicastSourceIP: '2001:db8::10',
    unicastPeers: ['2001:db8::11', '2001:db8::12'],
  },
]
const spec = specWith({ enabled: true, keepalived: { vrrpInstances: instances } })

/** UPDATE_GOLDEN=1 writes the file anew; read the difference before committing it. */
function assertGolden(name: string, text: string): void {
  const file = new URL(`testdata/${name}`, import.meta.url)
  if (process.env['UPDATE_GOLDEN'] === '1') writeFileSync(file, text)
  assert.equal(text, readFileSync(file, 'utf8'))
}

describe('virtual addresses of the controllers', () => {
  it("are pinned: keepalived's configuration", () => {
    const { vrrpInstances = [] } = spec.network.controlPlaneLoadBalancing.keepalived ?? {}
    const withInterface = vrrpInstances.map((instance) => ({ ...instance, interface: instance.interface ?? 'eth0' }))
    const text = renderKeepalivedConfig({ instances: withInterface, checkCommand: '/usr/bin/test -d /proc/4711' })
    assertGolden('keepalived.conf', text)
  })

  it('are pinned: the rules that lead to the balancer', () => {
    const text = renderCplbRedirect({ virtualAddresses: virtualAddresses(spec), apiPort: 6443, proxyPort: 6444 })
    assertGolden('cplb.nft', text)
  })

  it('are in the certificate of the API server, and there are none unless enabled', () => {
    assert.ok(servingNames({ spec, nodeName: 'a' }).ips.includes('192.0.2.100'))
    assert.ok(servingNames({ spec, nodeName: 'a' }).ips.includes('2001:db8::100'))
    assert.deepEqual(virtualAddresses(specWith({ enabled: false, keepalived: { vrrpInstances: instances } })), [])
  })

  it('are balanced unless somebody wants otherwise', () => {
    assert.equal(balancesVirtualAddresses(spec), true)
    const without = specWith({ enabled: true, keepalived: { vrrpInstances: instances, disableLoadBalancer: true } })
    assert.equal(balancesVirtualAddresses(without), false)
    assert.equal(balancesVirtualAddresses(specWith({})), false)
  })

  it('go on the interface of that name or MAC address, or the one with the own address', () => {
    const address = (ip: string, mac: string) => [
      { address: ip, mac, family: 'IPv4' as const, netmask: '255.255.255.0', internal: false, cidr: `${ip}/24` },
    ]
    const interfaces = {
      eth0: address('192.0.2.10', '02:00:00:00:00:0a'),
      eth1: address('198.51.100.1', '02:00:00:00:00:0b'),
    }
    const of = (wanted?: string): string =>
      interfaceOf(wanted === undefined ? {} : { interface: wanted }, { ownAddress: '192.0.2.10', interfaces })
    assert.equal(of(), 'eth0')
    assert.equal(of('eth1'), 'eth1')
    assert.equal(of('02:00:00:00:00:0B'), 'eth1')
    assert.throws(() => of('eth7'), { code: 'ERR_VIRTUAL_ADDRESS', message: /is called eth7.*there are eth0, eth1/ })
  })

  it('have the ready API servers behind them, the own one while there are none', () => {
    const own = { host: '192.0.2.10', port: 6443 }
    const slice = {
      metadata: { name: 'kubernetes' },
      endpoints: [
        { addresses: ['192.0.2.10'], conditions: { ready: true } },
        { addresses: ['192.0.2.11'], conditions: { ready: false } },
        { addresses: ['192.0.2.12'] },
      ],
      ports: [{ name: 'https', port: 6443 }],
    } as unknown as EndpointSlice
    assert.deepEqual(apiServers([slice], own), [own, { host: '192.0.2.12', port: 6443 }])
    assert.deepEqual(apiServers([], own), [own])
  })
})
