import { statfs } from 'node:fs/promises'
import { storageComponent } from '#pkg/component/controller/context.ts'
import { balancesVirtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import { ports } from '#pkg/constant/ports.ts'
import { K0sError } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import { assertPortFree } from '#pkg/net/port.ts'

/** There is too little room for a datastore. */
export class DiskSpaceError extends K0sError {
  override readonly code = 'ERR_DISK_SPACE'
}

/** etcd sets 64 MB aside for its log before it serves; below this it ends in a crash loop instead of an error. */
const MIN_FREE_BYTES = 128 * 1024 * 1024

/** @throws DiskSpaceError when the file system of `path` is full or nearly so. */
export async function assertFreeSpace(path: string): Promise<void> {
  const { bavail, bsize } = await asFileError('read', path, () => statfs(path))
  const freeBytes = bavail * bsize
  if (freeBytes >= MIN_FREE_BYTES) return
  const mib = (bytes: number): string => `${Math.floor(bytes / 1024 / 1024)} MiB`
  throw new DiskSpaceError(
    `disk full: ${mib(freeBytes)} are free for ${path}, at least ${mib(MIN_FREE_BYTES)} are needed; free some space or use another --data-dir`,
  )
}

/** A port that a component of this controller listens on. */
interface NeededPort {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** Every port that the control plane listens on, by component. Pure. */
export function neededPorts(
  { spec }: Pick<NodeConfig, 'spec'>,
  runs: (component: string) => boolean,
): readonly NeededPort[] {
  const { api, konnectivity, network, storage } = spec
  const everywhere = api.onlyBindToAddress ? api.address : '0.0.0.0'
  const loopback = '127.0.0.1'
  const all: readonly NeededPort[] = [
    { name: 'kube-apiserver', host: everywhere, port: api.port },
    { name: 'control-api', host: everywhere, port: api.k0sApiPort },
    { name: 'konnectivity-server', host: everywhere, port: konnectivity.agentPort },
    { name: 'konnectivity-server', host: loopback, port: konnectivity.adminPort },
    { name: 'konnectivity-server', host: loopback, port: ports.konnectivityHealth },
    { name: 'kube-controller-manager', host: loopback, port: ports.controllerManager },
    { name: 'kube-scheduler', host: loopback, port: ports.scheduler },
    ...(balancesVirtualAddresses(spec)
      ? [
          {
            name: 'control-plane-balancer',
            host: '0.0.0.0',
            port: network.controlPlaneLoadBalancing.keepalived?.userSpaceProxyBindPort ?? 0,
          },
        ]
      : []),
    ...(storageComponent(spec) === 'etcd'
      ? [
          { name: 'etcd', host: loopback, port: ports.etcdClient },
          { name: 'etcd', host: storage.etcd.peerAddress, port: ports.etcdPeer },
        ]
      : []),
  ]
  return all.filter(({ name }) => runs(name))
}

/**
 * Fails when a port is taken. What a killed supervisor left has been ended before.
 *
 * @throws PortInUseError naming the port and its owner.
 */
export async function assertPortsFree(needed: readonly NeededPort[]): Promise<void> {
  for (const { name, host, port } of needed) await assertPortFree(host, port, { name })
}
