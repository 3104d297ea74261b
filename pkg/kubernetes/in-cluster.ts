import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import type { KubeClientOptions } from '#pkg/kubernetes/client.ts'
import { tokenFile } from '#pkg/kubernetes/token-file.ts'
import { joinHostPort } from '#pkg/net/ip.ts'

/** A process does not run in a pod with a service account, or cannot read it. */
export class InClusterError extends K0sError {
  override readonly code = 'ERR_IN_CLUSTER'
}

/** Where the kubelet mounts the service account of a pod. */
const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount'

/**
 * The API server of the cluster that this process is a pod of: its Service, by the variables that the kubelet sets, with the
 * token and the authority of the pod's service account (kubernetes.io/docs/tasks/run-application/access-api-from-pod).
 *
 * @throws InClusterError
 */
export async function inClusterAccess(
  env: Readonly<Record<string, string | undefined>>,
  dir = SERVICE_ACCOUNT_DIR,
): Promise<KubeClientOptions> {
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = env
  if (host === undefined || host === '' || port === undefined || port === '') {
    throw new InClusterError('this is no pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set')
  }
  const readToken = tokenFile(join(dir, 'token'))
  try {
    const [caPem] = await Promise.all([readFile(join(dir, 'ca.crt'), 'utf8'), readToken()])
    return { server: `https://${joinHostPort(host, Number(port))}`, caPem, readToken }
  } catch (cause) {
    throw new InClusterError(`cannot use the service account of this pod: ${errorMessage(cause)}`, { cause })
  }
}
