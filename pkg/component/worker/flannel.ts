import { rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Component, StartContext } from '#pkg/component/component.ts'
import type { WorkerNetworkConfig } from '#pkg/apis/worker-config.ts'
import { modes } from '#pkg/constant/files.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { toArgs } from '#pkg/supervisor/args.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'
import { writeCniConfig } from '#pkg/component/worker/host-network.ts'
import { identityKubeconfig } from '#pkg/component/worker/layout.ts'
import { netfilterBackend } from '#pkg/component/worker/netfilter-backend.ts'
import { nodeIp } from '#pkg/component/worker/node-ip.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { processEnv, processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** Routes to the pods of other workers. */
export function flannel(context: WorkerContext): Component {
  const { layout } = context
  let mtuChecked = false
  return new ProcessComponent(
    {
      name: 'flannel',
      after: ['worker-certificates', 'worker-config', 'nllb', 'host-network', ...context.options.startAfter.api],
      wanted: () => context.config.get().network.provider !== 'custom',
      prepare: async (start) => {
        mtuChecked = false
        return await prepare(context, start)
      },
      probe: async () => {
        const env = parseSubnetEnv(await readIfExists(layout.flannelSubnetFile))
        if (env === undefined) throw new Error('flannel has not got a subnet yet')
        if (!mtuChecked) await writeCniConfig(context, env.mtu)
        mtuChecked = true
      },
    },
    context.deps,
  )
}

async function prepare(context: WorkerContext, { signal }: StartContext): Promise<ProcessSpec> {
  const { options, layout, deps } = context
  const { network } = context.config.get()
  const kubeconfig = identityKubeconfig(options.vars, 'flannel')
  await ensureDir(dirname(layout.flannelNetConfFile), { mode: modes.runDir })
  const netConf = flannelNetConf(network, netfilterBackend(context))
  await writeFileAtomic(layout.flannelNetConfFile, `${JSON.stringify(netConf, undefined, 2)}\n`, {
    mode: modes.certificate,
  })
  const [path, address] = await Promise.all([deps.binaries.stage('flanneld', { signal }), nodeIp(context)])
  // A stale file would make flannel look ready before it is.
  await rm(layout.flannelSubnetFile, { force: true })
  return {
    name: 'flannel',
    path,
    args: toArgs({
      'kubeconfig-file': kubeconfig,
      'net-config-path': layout.flannelNetConfFile,
      'subnet-file': layout.flannelSubnetFile,
      iface: address,
      'ip-masq': 'false',
    }),
    env: { ...processEnv.flannel, PATH: processPath(options.vars.binDir), NODE_NAME: options.nodeName },
    pidFile: join(options.vars.runDir, 'flannel.pid'),
    stopGraceMs: 5_000,
  }
}

/** net-conf.json of flannel (its Documentation/configuration.md). Masquerading is Felix's, for all traffic that leaves the pod network. */
export function flannelNetConf(
  network: WorkerNetworkConfig,
  netfilter: 'nftables' | 'iptables',
): Readonly<Record<string, unknown>> {
  const cidrs = network.podCIDR.split(',')
  const v4 = cidrs.find((cidr) => !cidr.includes(':'))
  const v6 = cidrs.find((cidr) => cidr.includes(':'))
  const { backend, vni, port, mtu } = network.flannel
  const type =
    backend === 'host-gw'
      ? { Type: 'host-gw' }
      : { Type: 'vxlan', VNI: vni, ...(port === 0 ? {} : { Port: port }), ...(mtu === 0 ? {} : { MTU: mtu }) }
  return {
    ...(v4 === undefined ? { EnableIPv4: false } : { Network: v4, EnableIPv4: true }),
    ...(v6 === undefined ? {} : { IPv6Network: v6, EnableIPv6: true }),
    EnableNFTables: netfilter === 'nftables',
    Backend: type,
  }
}

/** The two values of subnet.env that matter here; undefined until flannel has written it. */
export function parseSubnetEnv(
  text: string | undefined,
): { readonly subnet: string; readonly mtu: number } | undefined {
  const value = (key: string): string | undefined => new RegExp(`^${key}=(.+)$`, 'm').exec(text ?? '')?.[1]
  const subnet = value('FLANNEL_SUBNET') ?? value('FLANNEL_IPV6_SUBNET')
  const mtu = Number(value('FLANNEL_MTU'))
  return subnet === undefined || !Number.isSafeInteger(mtu) || mtu <= 0 ? undefined : { subnet, mtu }
}
