import { storageComponent } from '#pkg/component/controller/context.ts'
import { kineDataSource } from '#pkg/component/controller/kine.ts'
import type { ComponentManager } from '#pkg/component/manager/manager.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import { type ControllerRoleOptions, runsWorker } from '#pkg/role/controller-options.ts'
import type { StatusInfo } from '#pkg/status/types.ts'

/** What the status socket says of a controller, besides its components. */
export function controllerStatus(
  options: ControllerRoleOptions,
  config: NodeConfig,
  manager: ComponentManager,
): Omit<StatusInfo, 'Components'> {
  const workloads = runsWorker(options)
  const probed = workloads ? 'kubelet' : 'kube-apiserver'
  const api = manager.status().find(({ name }) => name === probed)
  return {
    Version: options.version,
    Pid: process.pid,
    PPid: process.ppid,
    Role: workloads ? 'controller+worker' : 'controller',
    SysInit: '',
    StubFile: '',
    Output: '',
    Workloads: workloads,
    SingleNode: options.single,
    Args: options.args,
    WorkerToAPIConnectionStatus: { Message: api?.reason ?? '', Success: api?.state === 'ready' },
    ClusterConfig: publicConfig(config),
    K0sVars: { ...config.vars },
    Storage: storageName(config.spec),
  }
}

/** Where the cluster keeps its objects; without addresses. Pure. */
export function storageName(spec: NodeConfig['spec']): string {
  const component = storageComponent(spec)
  if (component !== 'kine') return component ?? 'external etcd'
  const scheme = /^([a-z]+):\/\//.exec(kineDataSource(spec) ?? 'sqlite://')?.[1] ?? 'unknown'
  return `kine (${scheme === 'postgresql' ? 'postgres' : scheme})`
}

const secretKeys = new Set(['password', 'authPass'])
const databaseUrl = /\b(?:sqlite|postgres|postgresql|mysql):\/\//

/** The configuration as a ClusterConfig without passwords: those of repositories, VRRP and database URLs. Pure. */
export function publicConfig({ spec }: Pick<NodeConfig, 'spec'>): unknown {
  const text = JSON.stringify(spec, (key, value: unknown) => {
    if (secretKeys.has(key)) return '***'
    // As dataSource, and wherever else somebody may have written it, such as in extraArgs.
    if (typeof value === 'string' && databaseUrl.test(value)) return withoutPassword(value)
    return value
  })
  return {
    apiVersion: 'k0s.k0sproject.io/v1beta1',
    kind: 'ClusterConfig',
    metadata: { name: 'k0s' },
    spec: JSON.parse(text) as unknown,
  }
}

/** A database URL without its password, which may have a `@` or a `/` in it, nor those among its parameters. */
function withoutPassword(url: string): string {
  return url
    .replace(/(:\/\/[^:/@]*:).*@/, '$1***@')
    .replace(/([?&][^=&]*(?:password|secret|token)[^=&]*=)[^&]*/gi, '$1***')
}
