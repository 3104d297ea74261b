import { networkInterfaces } from 'node:os'
import { readIfExists } from '#pkg/file/atomic.ts'
import { isIp } from '#pkg/net/ip.ts'
import { localAddressTowards } from '#pkg/net/local.ts'
import { flagValue } from '#pkg/supervisor/args.ts'
import { HostNetworkError } from '#pkg/component/worker/errors.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'

/**
 * The node's address: the kubelet's --node-ip (the first of two families), since flannel and the tunnel have to mean the
 * same one; else the one given, else the one that packets to the first API server carry.
 */
export async function nodeIp({ options, config }: Pick<WorkerContext, 'options' | 'config'>): Promise<string> {
  const chosen = flagValue(options.kubeletExtraArgs, 'node-ip')?.split(',')[0]?.trim()
  // The unspecified address only asks the kubelet for a family.
  if (chosen !== undefined && isIp(chosen) && chosen !== '0.0.0.0' && chosen !== '::') return chosen
  if (options.nodeIp !== undefined) return options.nodeIp
  const servers = [...options.apiServers, ...(config.peek()?.apiServerAddresses ?? [])]
  const server = servers.find((address) => !isLoopback(splitHostPort(address).host))
  if (server === undefined) {
    throw new HostNetworkError(
      'cannot tell the address of this node: no API server is known; set it with --kubelet-extra-args=--node-ip=ADDRESS',
    )
  }
  const { host, port } = splitHostPort(server)
  return await localAddressTowards(host, port)
}

/** The interface that holds `address`, with its MTU in bytes if it is known. */
export async function uplink(address: string): Promise<{ readonly name: string; readonly mtu: number | undefined }> {
  const entry = Object.entries(networkInterfaces()).find(([, addresses]) =>
    addresses?.some((one) => one.address === address),
  )
  if (entry === undefined)
    throw new HostNetworkError(`no network interface has the node's address ${address}; correct --node-ip`)
  const [name] = entry
  // Not /sys/class/net: that shows the network namespace in which /sys was mounted, /proc/sys that of the reader.
  const mtu = Number(await readIfExists(`/proc/sys/net/ipv6/conf/${name}/mtu`).catch(() => undefined))
  return { name, mtu: Number.isSafeInteger(mtu) && mtu > 0 ? mtu : undefined }
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}
