import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { parseCapabilities } from '#pkg/sysinfo/capabilities.ts'
import { kernelFeatures, kernelFeatureState, type KernelFacts } from '#pkg/sysinfo/kernel.ts'
import { chooseNetfilter } from '#pkg/sysinfo/netfilter.ts'
import { kernelRows } from '#pkg/sysinfo/probe-kernel.ts'
import { probeCapabilities, probeHostName } from '#pkg/sysinfo/probe-machine.ts'
import { row } from '#pkg/sysinfo/row.ts'
import { collectSysinfo, rejections, renderSysinfo } from '#pkg/sysinfo/sysinfo.ts'

describe('parseCapabilities', () => {
  it('needs a capability in the effective and in the bounding set', () => {
    const all = parseCapabilities('CapEff:\t000001ffffffffff\nCapBnd:\t000001ffffffffff\n')
    assert.equal(all.has('CAP_SYS_RESOURCE'), true)
    const bounded = parseCapabilities('CapEff:\t000001ffffffffff\nCapBnd:\t000001fffeffffff\n')
    assert.deepEqual([...bounded], ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'])
    assert.deepEqual([...parseCapabilities('')], [])
  })

  it('warns without CAP_SYS_RESOURCE and rejects without CAP_SYS_ADMIN', () => {
    const rows = probeCapabilities(new Set(['CAP_NET_ADMIN']))
    assert.deepEqual(
      rows.map(({ displayName, category }) => [displayName, category]),
      [
        ['CAP_SYS_ADMIN', 'rejected'],
        ['CAP_NET_ADMIN', 'pass'],
        ['CAP_SYS_RESOURCE', 'warning'],
      ],
    )
  })
})

describe('kernel features', () => {
  const facts: KernelFacts = {
    release: '6.18.44-x',
    config: 'CONFIG_VETH=y\nCONFIG_VXLAN=m\n# CONFIG_NF_TABLES is not set\nCONFIG_NF_CONNTRACK=y\n',
    loaded: 'overlay 100 2 - Live 0x0\n',
    available: '',
  }

  it('are loaded, built in, loadable or missing', () => {
    assert.equal(kernelFeatureState(kernelFeatures.overlayfs, facts), 'loaded')
    assert.equal(kernelFeatureState(kernelFeatures.veth, facts), 'built-in')
    assert.equal(kernelFeatureState(kernelFeatures.vxlan, facts), 'module')
    assert.equal(kernelFeatureState(kernelFeatures.nftables, facts), 'missing')
  })

  it('are unknown, not missing, where the kernel does not publish its configuration', () => {
    const silent: KernelFacts = { ...facts, config: undefined, available: 'kernel/net/netfilter/nf_tables.ko:\n' }
    assert.equal(kernelFeatureState(kernelFeatures.nftables, silent), 'module')
    assert.equal(kernelFeatureState(kernelFeatures.vxlan, silent), 'unknown')
  })

  it('reject an old kernel and one without what pods cannot do without', () => {
    const rejected = kernelRows({ release: '4.4.0', config: '#\n', loaded: '', available: '' }, true)
      .filter(({ category }) => category === 'rejected')
      .map(({ path }) => path.join('/'))
    assert.deepEqual(rejected, ['kernel', 'kernel/conntrack', 'kernel/veth'])
  })
})

describe('chooseNetfilter', () => {
  const both = {
    nft: '/usr/sbin/nft',
    iptables: '/usr/sbin/iptables',
    'iptables-restore': '/usr/sbin/iptables-restore',
  }

  it('takes what is asked for if it can work', () => {
    assert.equal(chooseNetfilter({ programs: both, kernelHasNfTables: true }, 'nftables'), 'nftables')
    assert.equal(chooseNetfilter({ programs: both, kernelHasNfTables: true }, 'iptables'), 'iptables')
  })

  it('falls back to what the host has', () => {
    assert.equal(chooseNetfilter({ programs: both, kernelHasNfTables: false }, 'nftables'), 'iptables')
    assert.equal(chooseNetfilter({ programs: { nft: both.nft }, kernelHasNfTables: true }, 'iptables'), 'nftables')
    assert.equal(
      chooseNetfilter({ programs: { iptables: both.iptables }, kernelHasNfTables: true }, 'nftables'),
      undefined,
    )
  })
})

describe('sysinfo', () => {
  it('takes host names that can be names of nodes', () => {
    assert.equal(probeHostName('Worker-1.example.org').category, 'pass')
    assert.equal(probeHostName('my_host').category, 'rejected')
  })

  it('never throws: a probe that fails is a row', async () => {
    const rows = await collectSysinfo({
      controller: true,
      worker: true,
      dataDir: '/nonexistent',
      path: '',
      root: '/nonexistent',
    })
    assert.ok(rows.some(({ category, error }) => category === 'error' && error !== undefined))
    assert.ok(rows.some(({ path }) => path[0] === 'programs'))
  })

  it('asks of a controller only what a controller needs', async () => {
    const rows = await collectSysinfo({ controller: true, worker: false, dataDir: '/tmp', path: '/bin' })
    assert.deepEqual([...new Set(rows.map(({ path }) => path[0]))], ['machine', 'kernel'])
    assert.deepEqual(rejections(rows), [])
  })

  it('prints one line a row', () => {
    const rows = [
      row(['kernel'], 'Kernel', '6.1'),
      row(['kernel', 'veth'], 'veth', 'missing', 'rejected', 'no network'),
    ]
    assert.equal(renderSysinfo(rows), 'Kernel: 6.1 (pass)\n  veth: missing (rejected: no network)\n')
  })
})
