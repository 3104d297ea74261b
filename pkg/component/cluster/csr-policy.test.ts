import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { canonicalIp } from '#pkg/certificate/alt-names.ts'
import {
  decideCsr,
  decideFirst,
  decideServing,
  signers,
  type SigningRequest,
} from '#pkg/component/cluster/csr-policy.ts'

const none = { dnsNames: [], ips: [], uris: [], emails: [] }
const bootstrap: SigningRequest = {
  signerName: signers.kubeletClient,
  username: 'system:bootstrap:abcdef',
  groups: ['system:bootstrappers', 'system:authenticated'],
  usages: ['digital signature', 'client auth'],
  commonName: 'system:node:w0',
  organizations: ['system:nodes'],
  ...none,
}
const node = { username: 'system:node:w0', groups: ['system:nodes', 'system:authenticated'] }
const renewal: SigningRequest = {
  ...bootstrap,
  ...node,
  usages: ['key encipherment', 'digital signature', 'client auth'],
}
const proxy: SigningRequest = {
  ...renewal,
  signerName: signers.client,
  commonName: 'k0s:kube-proxy:w0',
  organizations: ['k0s:kube-proxies'],
}
const serving: SigningRequest = {
  ...renewal,
  signerName: signers.kubeletServing,
  usages: ['digital signature', 'server auth'],
  dnsNames: ['w0'],
  ips: ['10.0.0.5'],
}

describe('CSR policy', () => {
  const approved: readonly [string, SigningRequest][] = [
    ['a renewal by the node', renewal],
    ['a part of the node', proxy],
    [
      'the tunnel agent of the node',
      { ...proxy, commonName: 'k0s:tunnel-agent:w0', organizations: ['k0s:tunnel-agents'] },
    ],
  ]
  for (const [name, request] of approved) {
    it(`approves ${name}`, () => assert.equal(decideCsr(request).action, 'approve'))
  }

  const left: readonly [string, SigningRequest, RegExp][] = [
    ['another signer', { ...bootstrap, signerName: 'example.org/x' }, /not ours/],
    ['a token of no group', { ...bootstrap, groups: ['system:authenticated'] }, /may not ask/],
    ['a user who names himself a bootstrapper', { ...bootstrap, username: 'eve' }, /may not ask/],
    ['a node asking for another', { ...renewal, commonName: 'system:node:w1' }, /may not ask/],
    ['no node at all', { ...bootstrap, commonName: 'system:node:' }, /no node/],
    ['an administrator', { ...bootstrap, organizations: ['system:masters'] }, /exactly system:nodes/],
    ['one group more', { ...bootstrap, organizations: ['system:nodes', 'system:masters'] }, /exactly system:nodes/],
    ['a client that would serve', { ...bootstrap, usages: ['digital signature', 'server auth'] }, /usages/],
    ['a usage more', { ...bootstrap, usages: ['digital signature', 'client auth', 'server auth'] }, /usages/],
    ['a client with names', { ...bootstrap, dnsNames: ['w0'] }, /alternative names/],
    ['a part of another node', { ...proxy, commonName: 'k0s:kube-proxy:w1' }, /no part of node w0/],
    ['an unknown part', { ...proxy, commonName: 'k0s:etcd:w0' }, /no part/],
    ['a part in the group of another', { ...proxy, organizations: ['k0s:workers'] }, /exactly k0s:kube-proxies/],
    ['a part with a token', { ...proxy, ...{ username: bootstrap.username, groups: bootstrap.groups } }, /no node/],
    ['a serving certificate for a part', { ...serving, commonName: 'k0s:felix:w0' }, /may not ask/],
    ['a serving certificate with client usage', { ...serving, usages: ['digital signature', 'client auth'] }, /usages/],
    ['a serving certificate without names', { ...serving, ...none }, /no name/],
    ['a serving certificate with a URI', { ...serving, uris: ['spiffe://x'] }, /URIs/],
    [
      'a serving certificate by token',
      { ...serving, username: bootstrap.username, groups: bootstrap.groups },
      /no node/,
    ],
  ]
  for (const [name, request, reason] of left) {
    it(`leaves ${name} alone`, () => {
      const decision = decideCsr(request)
      assert.equal(decision.action, 'leave')
      assert.match((decision as { reason: string }).reason, reason)
    })
  }

  it('asks whether somebody has the name that a join token is shown for', () => {
    assert.deepEqual(decideCsr(bootstrap), { action: 'check-name', nodeName: 'w0' })
  })

  const holders: readonly [string, readonly { type: string; status: string }[] | undefined, string][] = [
    ['nobody', undefined, 'approve'],
    ['a node whose kubelet never reported', [{ type: 'NetworkUnavailable', status: 'False' }], 'approve'],
    ['a node that is silent', [{ type: 'Ready', status: 'Unknown' }], 'approve'],
    ['a node that is ready', [{ type: 'Ready', status: 'True' }], 'wait'],
    ['a node that is alive, but not ready', [{ type: 'Ready', status: 'False' }], 'wait'],
  ]
  for (const [holder, conditions, action] of holders) {
    it(`gives a name that ${holder} has to whoever has a join token: ${action}`, () => {
      assert.equal(decideFirst('w0', conditions).action, action)
    })
  }

  it('asks for the node of a serving request', () => {
    assert.deepEqual(decideCsr(serving), { action: 'check-node', nodeName: 'w0' })
  })

  const addresses = [
    { type: 'InternalIP', address: '10.0.0.5' },
    { type: 'InternalIP', address: 'fd00:0::5' },
    { type: 'Hostname', address: 'w0.lan' },
  ]
  const reserved = { dnsNames: ['api.example.org'], ips: ['10.0.0.1', '10.96.0.1'], ownNode: 'c0' }
  const rules = { canonicalIp, reserved: [reserved] }
  const judged: readonly [string, Partial<SigningRequest>, string][] = [
    ['names and addresses of the node', { dnsNames: ['w0', 'W0.lan'], ips: ['10.0.0.5', 'fd00::5'] }, 'approve'],
    ['an address of another host', { ips: ['10.0.0.6'] }, 'leave'],
    ['a name of another host', { dnsNames: ['w1'] }, 'leave'],
    ['a host name as an address', { dnsNames: ['10.0.0.5'] }, 'leave'],
  ]
  for (const [name, change, action] of judged) {
    it(`judges a serving request with ${name}: ${action}`, () => {
      assert.equal(decideServing({ ...serving, ...change }, addresses, rules).action, action)
    })
  }

  it('gives no node the names of the API server, whatever it reports', () => {
    const claimed = [
      { type: 'Hostname', address: 'kubernetes.default.svc' },
      { type: 'Hostname', address: 'API.example.org' },
      ...['127.0.0.1', '::ffff:127.0.0.1', '10.0.0.1', '::ffff:10.96.0.1'].map((address) => ({
        type: 'InternalIP',
        address,
      })),
    ]
    for (const change of [
      { dnsNames: ['kubernetes.default.svc'], ips: [] },
      { dnsNames: ['api.example.org'], ips: [] },
      { dnsNames: [], ips: ['127.0.0.1'] },
      { dnsNames: [], ips: ['::ffff:127.0.0.1'] },
      { dnsNames: [], ips: ['10.0.0.1'] },
      { dnsNames: [], ips: ['::ffff:10.0.0.1'] },
      { dnsNames: [], ips: ['10.96.0.1'] },
    ]) {
      assert.equal(decideServing({ ...serving, ...change }, claimed, rules).action, 'leave')
    }
  })

  it('gives the node of this very host the address of the API server: it is its own', () => {
    const own = {
      ...serving,
      username: 'system:node:c0',
      commonName: 'system:node:c0',
      dnsNames: [],
      ips: ['10.0.0.1'],
    }
    const claimed = [{ type: 'InternalIP', address: '10.0.0.1' }]
    assert.equal(decideServing(own, claimed, rules).action, 'approve')
    assert.equal(decideServing({ ...own, username: 'system:node:w0' }, claimed, rules).action, 'leave')
  })

  it('gives the node of one controller nothing of another one', () => {
    const other = { dnsNames: ['c1'], ips: ['10.0.0.2'], ownNode: 'c1' }
    const both = { canonicalIp, reserved: [reserved, other] }
    const request = (node: string, ip: string): SigningRequest => ({
      ...serving,
      username: `system:node:${node}`,
      commonName: `system:node:${node}`,
      dnsNames: [],
      ips: [ip],
    })
    const decide = (node: string, ip: string): string =>
      decideServing(request(node, ip), [{ type: 'InternalIP', address: ip }], both).action
    assert.equal(decide('c0', '10.0.0.1'), 'approve')
    assert.equal(decide('c1', '10.0.0.2'), 'approve')
    assert.equal(decide('c0', '10.0.0.2'), 'leave')
    assert.equal(decide('w0', '10.0.0.2'), 'leave')
  })

  it('waits for a node that has reported no address yet', () => {
    assert.equal(decideServing(serving, [], rules).action, 'leave')
  })
})
