import { gunzipSync } from 'node:zlib'
import { JoinError } from '#pkg/component/worker/errors.ts'
import { parseKubeconfig, type Kubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { joinHostPort } from '#pkg/net/ip.ts'

/** What a worker takes from its join token. */
export interface WorkerToken {
  /** `host:port` of the API server. */
  readonly server: string
  readonly caPem: string
  /** Bootstrap token, `id.secret`. */
  readonly token: string
}

/** Name of the user entry of worker tokens (k0s, pkg/token). */
const WORKER_USER = 'kubelet-bootstrap'
const CREATE = 'create one with "k0s token create --role worker" on a controller'

/** Reads a join token: base64 of a gzipped kubeconfig. @throws JoinError naming what is wrong with it */
export function decodeWorkerToken(text: string): WorkerToken {
  const { user, server, caPem, token } = decode(text)
  if (user !== WORKER_USER) {
    throw new JoinError(
      `the join token is for another role (its user is "${String(user)}"), not for a worker; ${CREATE}`,
    )
  }
  if (caPem === undefined || token === undefined || !/^[a-z0-9]{6}\.[a-z0-9]{16}$/.test(token)) {
    throw new JoinError(`the join token lacks the cluster's certificate or a bootstrap token; ${CREATE}`)
  }
  const url = new URL(server)
  return { server: joinHostPort(url.hostname.replace(/^\[|\]$/g, ''), Number(url.port || 443)), caPem, token }
}

function decode(text: string): Kubeconfig {
  try {
    return parseKubeconfig(gunzipSync(Buffer.from(text.trim(), 'base64')).toString('utf8'))
  } catch (cause) {
    throw new JoinError(
      `the join token is malformed (it may have been cut while copying); copy it whole, or ${CREATE}`,
      { cause },
    )
  }
}
