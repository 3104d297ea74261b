import { networkInterfaces } from 'node:os'
import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { VrrpInstance } from '#pkg/component/controller/keepalived-config.ts'
import { K0sError } from '#pkg/errors/error.ts'

/** The interface that is to carry a virtual address is not there. */
export class VirtualAddressError extends K0sError {
  override readonly code = 'ERR_VIRTUAL_ADDRESS'
}

/** The virtual addresses of the controllers, without prefix length; none while they are not enabled. Pure. */
export function virtualAddresses({ network }: Pick<ClusterSpec, 'network'>): readonly string[] {
  const { enabled, keepalived } = network.controlPlaneLoadBalancing
  if (!enabled) return []
  return (keepalived?.vrrpInstances ?? []).flatMap(({ virtualIPs }) => virtualIPs.map(withoutPrefix))
}

/** Whether connections to the virtual addresses are balanced over all controllers. Pure. */
export function balancesVirtualAddresses(spec: Pick<ClusterSpec, 'network'>): boolean {
  const { keepalived } = spec.network.controlPlaneLoadBalancing
  return virtualAddresses(spec).length > 0 && keepalived?.disableLoadBalancer !== true
}

/**
 * The interface of an instance: by name or MAC address as configured, else the one that has the address of this host.
 *
 * @throws VirtualAddressError naming what was looked for and what there is
 */
export function interfaceOf(
  { interface: wanted }: Pick<VrrpInstance, 'interface'>,
  {
    ownAddress,
    interfaces = networkInterfaces(),
  }: { ownAddress: string; interfaces?: typeof networkInterfaces extends () => infer T ? T : never },
): string {
  const found = Object.entries(interfaces).find(([name, addresses]) =>
    wanted === undefined
      ? addresses?.some(({ address }) => address === ownAddress)
      : name === wanted || addresses?.some(({ mac }) => mac.toLowerCase() === wanted.toLowerCase()),
  )
  if (found !== undefined) return found[0]
  const what = wanted === undefined ? `has the address ${ownAddress}` : `is called ${wanted} or has this MAC address`
  throw new VirtualAddressError(
    `no interface of this host ${what}, there are ${Object.keys(interfaces).join(', ')}; set interface in spec.network.controlPlaneLoadBalancing.keepalived.vrrpInstances`,
  )
}

function withoutPrefix(address: string): string {
  return address.split('/')[0] ?? address
}
