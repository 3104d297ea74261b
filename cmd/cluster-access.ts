import { readFile } from 'node:fs/promises'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { errnoCode, K0sError } from '#pkg/errors/error.ts'
import { asFileError } from '#pkg/file/errors.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import type { StatusInfo } from '#pkg/status/types.ts'

/** The command needs a controller, and this host runs none. */
export class NotControllerError extends K0sError {
  override readonly code = 'ERR_NOT_CONTROLLER'
}

/** What `spec.api` of a configuration says about where its servers are. */
interface ApiAddresses {
  readonly address?: string
  readonly externalAddress?: string
  readonly port?: number
  readonly k0sApiPort?: number
}

/** The status of the controller that runs on this host. @throws NotControllerError, NotRunningError */
export async function controllerStatus(vars: CfgVars): Promise<StatusInfo> {
  const { statusClient } = await import('#pkg/status/client.ts')
  const status = await statusClient(vars.statusSocket).get()
  if (status.Role.startsWith('controller')) return status
  throw new NotControllerError(`this host runs a ${status.Role}; run this command on a controller`)
}

/** A client of the API server with this controller's admin certificate. @throws KubeconfigError */
export async function adminClient(vars: CfgVars): Promise<KubeClient> {
  const [{ KubeClient: Client }, { KubeconfigError, loadKubeconfig }] = await Promise.all([
    import('#pkg/kubernetes/client.ts'),
    import('#pkg/kubernetes/kubeconfig.ts'),
  ])
  const path = vars.adminKubeconfig
  const options = await loadKubeconfig(path).catch((err: unknown) => {
    if (!(err instanceof KubeconfigError) || errnoCode(err.cause) !== 'ENOENT') throw err
    throw new KubeconfigError(
      `there is no ${path} on this host: a controller makes it when it starts; run this command on a controller`,
      { cause: err.cause },
    )
  })
  return new Client({ ...options, userAgent: 'k0s-cli' })
}

/** The cluster's certificate authority. @throws FileError */
export async function clusterCaPem(vars: CfgVars): Promise<string> {
  const path = `${vars.pkiDir}/ca.crt`
  return asFileError('read', path, () => readFile(path, 'utf8'))
}

/** `https://host:port` under which other hosts reach the API server, or the join API of controllers. */
export async function publicUrl(vars: CfgVars, which: 'api' | 'join'): Promise<string> {
  const { address, externalAddress, port = 6443, k0sApiPort = 9443 } = await apiAddresses(vars)
  const host = externalAddress ?? address
  if (host === undefined) {
    throw new NotControllerError('this controller knows no address of its own; set spec.api.address and restart it')
  }
  return `https://${joinHostPort(host, which === 'api' ? port : k0sApiPort)}`
}

/** From the running controller; else from the configuration file, so that a stopped one can be asked too. */
async function apiAddresses(vars: CfgVars): Promise<ApiAddresses> {
  const { NotRunningError } = await import('#pkg/status/errors.ts')
  try {
    const { ClusterConfig } = await controllerStatus(vars)
    const { spec } = ClusterConfig as { readonly spec?: { readonly api?: ApiAddresses } }
    if (spec?.api?.address !== undefined) return spec.api
  } catch (err) {
    if (!(err instanceof NotRunningError)) throw err
  }
  const [{ loadNodeConfig }, { defaultConfigFile }] = await Promise.all([
    import('#pkg/config/load.ts'),
    import('#pkg/config/cfg-vars.ts'),
  ])
  return (await loadNodeConfig({ configFile: defaultConfigFile, vars, single: false })).spec.api
}
