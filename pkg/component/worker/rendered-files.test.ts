import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { stringify } from 'yaml'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { podMtu, renderCniConfig } from '#pkg/component/worker/cni-config.ts'
import { felixSettings } from '#pkg/component/worker/felix.ts'
import { flannelNetConf, parseSubnetEnv } from '#pkg/component/worker/flannel.ts'
import { sysctlsFor } from '#pkg/component/worker/host-network.ts'
import { kubeProxyConfiguration } from '#pkg/component/worker/kube-proxy-config.ts'
import { kubeletArgs } from '#pkg/component/worker/kubelet.ts'
import { kubeletConfiguration, parseTaint } from '#pkg/component/worker/kubelet-config.ts'
import { workerLayout } from '#pkg/component/worker/layout.ts'
import { assertGolden } from '#pkg/component/worker/testing/golden.ts'
import { testWorkerConfig, testWorkerOptions } from '#pkg/component/worker/testing/worker-config.ts'

const config = testWorkerConfig()

describe('kubelet', () => {
  it('configures the node over the profile', async () => {
    const document = kubeletConfiguration(
      {
        clusterDNS: ['10.96.0.10'],
        maxPods: 50,
        cgroupRoot: '/hosts/a',
        authentication: { anonymous: { enabled: false } },
      },
      {
        caFile: '/var/lib/k0s/worker-pki/ca.crt',
        cgroupDriver: 'cgroupfs',
        runtimeEndpoint: 'unix:///run/k0s/containerd.sock',
        resolvConf: '/etc/resolv.conf',
        taints: ['node-role.kubernetes.io/control-plane:NoSchedule', 'only=gpu:NoExecute'],
      },
    )
    await assertGolden(import.meta.dirname, 'kubelet-config.yaml', stringify(document))
  })

  it('lets the profile choose resolvConf, but not the socket', () => {
    const document = kubeletConfiguration(
      { resolvConf: '/etc/other', containerRuntimeEndpoint: 'unix:///elsewhere' },
      {
        caFile: 'ca',
        cgroupDriver: 'systemd',
        runtimeEndpoint: 'unix:///ours',
        resolvConf: '/etc/resolv.conf',
        taints: [],
      },
    )
    assert.equal(document['resolvConf'], '/etc/other')
    assert.equal(document['containerRuntimeEndpoint'], 'unix:///ours')
    assert.equal('registerWithTaints' in document, false)
  })

  it('reads taints with and without a value', () => {
    assert.deepEqual(parseTaint('a=b:NoSchedule'), { key: 'a', value: 'b', effect: 'NoSchedule' })
    assert.deepEqual(parseTaint('example.org/a:NoExecute'), { key: 'example.org/a', effect: 'NoExecute' })
  })

  it('has its command line, with the extra arguments last', async () => {
    const options = testWorkerOptions({
      labels: { disk: 'ssd', 'example.org/zone': 'a' },
      kubeletExtraArgs: ['--v=4', '--max-pods=50'],
    })
    const args = kubeletArgs({ options, layout: workerLayout(cfgVars()) }, '10.0.0.2')
    await assertGolden(import.meta.dirname, 'kubelet-args.txt', `${args.join('\n')}\n`)
  })
})

describe('kube-proxy', () => {
  const facts = {
    nodeName: 'w0',
    kubeconfig: '/var/lib/k0s/worker-pki/kube-proxy.conf',
    mode: 'nftables',
    conntrackMaxWritable: true,
  } as const

  it('is configured from the cluster and the node', async () => {
    await assertGolden(import.meta.dirname, 'kube-proxy-config.yaml', stringify(kubeProxyConfiguration(config, facts)))
  })

  it('leaves the size of the conntrack table alone where it may not set it', () => {
    const document = kubeProxyConfiguration(config, { ...facts, conntrackMaxWritable: false })
    assert.deepEqual(document['conntrack'], { maxPerCore: 0, min: 0 })
  })
})

describe('pod network', () => {
  it('has a CNI configuration', async () => {
    const text = renderCniConfig({
      nodeName: 'w0',
      kubeconfig: '/var/lib/k0s/worker-pki/calico-cni.conf',
      mtu: 1450,
      netfilter: 'nftables',
    })
    await assertGolden(import.meta.dirname, '10-calico.conflist', text)
  })

  it('takes the MTU that is configured, else the uplink less the overlay', () => {
    assert.equal(podMtu({ backend: 'vxlan', mtu: 1400 }, 9000), 1400)
    assert.equal(podMtu({ backend: 'vxlan', mtu: 0 }, 9000), 8950)
    assert.equal(podMtu({ backend: 'host-gw', mtu: 0 }, 9000), 9000)
    assert.equal(podMtu({ backend: 'vxlan', mtu: 0 }, undefined), 1450)
  })

  it('has a flannel configuration for one and for two families', () => {
    assert.deepEqual(flannelNetConf(config.network, 'nftables'), {
      Network: '10.244.0.0/16',
      EnableIPv4: true,
      EnableNFTables: true,
      Backend: { Type: 'vxlan', VNI: 1 },
    })
    const dual = {
      ...config.network,
      podCIDR: '10.244.0.0/16,fd00::/108',
      flannel: { backend: 'host-gw', vni: 1, port: 0, mtu: 0 },
    } as const
    assert.deepEqual(flannelNetConf(dual, 'iptables'), {
      Network: '10.244.0.0/16',
      EnableIPv4: true,
      IPv6Network: 'fd00::/108',
      EnableIPv6: true,
      EnableNFTables: false,
      Backend: { Type: 'host-gw' },
    })
  })

  it('leaves IPv6 forwarding alone unless pods have IPv6', () => {
    const forwarding = /ipv6.*forwarding/
    assert.ok(!sysctlsFor(false).some(({ path }) => forwarding.test(path)))
    assert.ok(sysctlsFor(true).some(({ path }) => forwarding.test(path)))
  })

  it('reads what flannel wrote, and nothing before it has', () => {
    const text = 'FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.3.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n'
    assert.deepEqual(parseSubnetEnv(text), { subnet: '10.244.3.1/24', mtu: 1450 })
    assert.equal(parseSubnetEnv(undefined), undefined)
    assert.equal(parseSubnetEnv('FLANNEL_MTU=1450\n'), undefined)
  })

  it('has the settings of Felix', async () => {
    const settings = felixSettings({
      nodeName: 'w0',
      kubeconfig: '/var/lib/k0s/worker-pki/felix.conf',
      netfilter: 'nftables',
      dualStack: false,
    })
    await assertGolden(import.meta.dirname, 'felix-settings.yaml', stringify(settings))
  })
})
