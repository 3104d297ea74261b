import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { findProgram } from '#pkg/sysinfo/netfilter.ts'
import { podMtu, renderCniConfig } from '#pkg/component/worker/cni-config.ts'
import { HostNetworkError } from '#pkg/component/worker/errors.ts'
import { identityKubeconfig } from '#pkg/component/worker/layout.ts'
import { netfilterBackend } from '#pkg/component/worker/netfilter-backend.ts'
import { nodeIp, uplink } from '#pkg/component/worker/node-ip.ts'
import { processPath } from '#pkg/component/worker/process-env.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** CNI plugins of the pod network; containerd brings its own loopback. */
const cniPlugins = ['calico', 'host-local', 'portmap'] as const
/** Plugins that users' own CNI configurations commonly chain. */
const cniExtras = ['bridge', 'loopback'] as const
/** Where Calico's CNI plugin and Felix keep what they agree on; the path is compiled into them. */
const CALICO_DIR = '/var/lib/calico'

const MODPROBE_TIMEOUT_MS = 10_000

/** Kernel settings of a router of pod traffic. Those of bridges exist only with br_netfilter loaded. */
const sysctls = [
  { path: '/proc/sys/net/ipv4/ip_forward', value: '1', required: true },
  // Only with IPv6 pods: a host that forwards stops listening to router advertisements and may lose its default route.
  { path: '/proc/sys/net/ipv6/conf/all/forwarding', value: '1', required: true, onlyIPv6: true },
  { path: '/proc/sys/net/bridge/bridge-nf-call-iptables', value: '1', required: false },
  { path: '/proc/sys/net/bridge/bridge-nf-call-ip6tables', value: '1', required: false },
] as const satisfies readonly Sysctl[]

interface Sysctl {
  readonly path: string
  readonly value: string
  /** Nothing works without it; others are left alone where they do not exist. */
  readonly required: boolean
  readonly onlyIPv6?: boolean
}

/** The kernel settings for a network with or without IPv6. */
export function sysctlsFor(ipv6: boolean): readonly Sysctl[] {
  return sysctls.filter((sysctl: Sysctl) => ipv6 || sysctl.onlyIPv6 !== true)
}

/**
 * What the pod network needs of the host before the first pod: forwarding, CNI plugins and their configuration. The
 * configuration is there before the kubelet asks for it, so that the node is Ready at the kubelet's first look; a pod
 * that comes before flannel has its routes waits in the plugin for the node's podCIDR.
 */
export function hostNetwork(context: WorkerContext): Component {
  return {
    name: 'host-network',
    after: ['worker-config'],
    start: async (start) => {
      const { network, dualStackEnabled } = context.config.get()
      await loadModules(context, start)
      await Promise.all(sysctlsFor(dualStackEnabled).map(async (sysctl) => await setSysctl(sysctl, start)))
      if (network.provider !== 'custom') {
        await Promise.all([stageCniPlugins(context, start.signal), writeCniConfig(context), writeNodeName(context)])
      }
    },
    ready: async () => await Promise.resolve(),
    stop: async () => await Promise.resolve(),
  }
}

/** Writes the CNI configuration; `mtu` is flannel's own word, else it is computed as flannel does. */
export async function writeCniConfig(context: WorkerContext, mtu?: number): Promise<void> {
  const { options, layout } = context
  const { network } = context.config.get()
  const text = renderCniConfig({
    nodeName: options.nodeName,
    kubeconfig: identityKubeconfig(options.vars, 'calicoCni'),
    mtu: mtu ?? podMtu(network.flannel, (await uplink(await nodeIp(context))).mtu),
    netfilter: netfilterBackend(context),
  })
  await ensureDir(options.vars.cniConfDir, { mode: 0o755 })
  await writeFileAtomic(layout.cniConfFile, text, { mode: modes.certificate })
}

async function writeNodeName({ options }: WorkerContext): Promise<void> {
  await ensureDir(CALICO_DIR, { mode: 0o755 })
  await writeFileAtomic(join(CALICO_DIR, 'nodename'), options.nodeName, { mode: 0o644 })
}

/** containerd looks for plugins in one directory, which users' plugins share: ours are staged there, and remembered for reset. */
async function stageCniPlugins({ options, layout, deps }: WorkerContext, signal: AbortSignal): Promise<void> {
  const { vars } = options
  const names = [...cniPlugins, ...cniExtras]
  await Promise.all(names.map(async (name) => await deps.binaries.stage(name, { signal, directory: vars.cniBinDir })))
  await writeFileAtomic(layout.stagedCniFile, `${JSON.stringify(names)}\n`, { mode: 0o644 })
}

/** Before the kernel settings, some of which appear with a module. */
async function loadModules({ options, deps }: WorkerContext, { signal, log }: StartContext): Promise<void> {
  const modprobe =
    deps.host.modulesToLoad.length === 0 ? undefined : await findProgram('modprobe', processPath(options.vars.binDir))
  if (modprobe === undefined) return
  for (const name of deps.host.modulesToLoad) {
    await deps
      .runOnce({ path: modprobe, args: [name], timeoutMs: MODPROBE_TIMEOUT_MS }, { signal })
      .catch((err: unknown) => {
        log.warn('kernel module not loaded', { module: name, err: errorMessage(err) })
      })
  }
}

async function setSysctl({ path, value, required }: Sysctl, { log }: StartContext): Promise<void> {
  try {
    await writeFile(path, value, { flag: 'r+' })
  } catch (cause) {
    if (required)
      throw new HostNetworkError(`cannot set ${path} to ${value}: ${errorMessage(cause)}; set it with sysctl`, {
        cause,
      })
    log.debug('kernel setting left alone', { path, err: errorMessage(cause) })
  }
}
