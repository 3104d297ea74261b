import { gunzipSync, gzipSync } from 'node:zlib'
import { parseKubeconfig, renderKubeconfig, type Kubeconfig } from '#pkg/kubernetes/kubeconfig.ts'
import { parseBootstrapToken, type BootstrapToken } from '#pkg/token/bootstrap-token.ts'
import { TokenError } from '#pkg/token/errors.ts'

/** What a token lets a host become. */
export type TokenRole = 'worker' | 'controller'

/** The content of a join token: enough to reach one cluster, to recognise it, and to be let in. */
export interface JoinToken {
  readonly role: TokenRole
  /** `https://host:port` of the API server (worker) or of the join API (controller). */
  readonly server: string
  /** Certificate authority of the cluster: a joining host trusts nobody else. */
  readonly caPem: string
  readonly bootstrapToken: BootstrapToken
}

/** Name of the user in the kubeconfig inside, by role (k0s, pkg/token). */
const users = { worker: 'kubelet-bootstrap', controller: 'controller-bootstrap' } as const
/** A kubeconfig with one certificate has some 3 kB; more than this is no token, or a decompression bomb. */
const maxBytes = 256 * 1024

/** base64(gzip(kubeconfig)), as k0s has it. */
export function encodeJoinToken({ role, server, caPem, bootstrapToken }: JoinToken): string {
  const token = `${bootstrapToken.id}.${bootstrapToken.secret}`
  return gzipSync(renderKubeconfig({ server, caPem, token, user: users[role] })).toString('base64')
}

/**
 * Reads a join token strictly; white space around and line breaks within are what copying adds.
 *
 * @throws TokenError that says what is wrong with it, and for a role other than `expected`
 */
export function decodeJoinToken(text: string, expected: TokenRole): JoinToken {
  const { user, server, caPem, token } = readKubeconfig(text, expected)
  const role = user === users.worker ? 'worker' : user === users.controller ? 'controller' : undefined
  if (role === undefined) {
    throw new TokenError(
      `the join token is for an unknown role (its user is ${JSON.stringify(user)}); ${create(expected)}`,
    )
  }
  if (role !== expected)
    throw new TokenError(`the join token is for a ${role}, not for a ${expected}; ${create(expected)}`)
  if (!server.startsWith('https://')) {
    throw new TokenError(`the join token names a server without TLS (${server}); ${create(expected)}`)
  }
  if (caPem?.includes('-----BEGIN CERTIFICATE-----') !== true) {
    throw new TokenError(`the join token has no certificate authority to recognise the cluster by; ${create(expected)}`)
  }
  const bootstrapToken = parseBootstrapToken(token ?? '')
  if (bootstrapToken === undefined) {
    throw new TokenError(`the join token has no bootstrap token of the form id.secret; ${create(expected)}`)
  }
  return { role, server, caPem, bootstrapToken }
}

function readKubeconfig(text: string, expected: TokenRole): Kubeconfig {
  const base64 = text.replaceAll(/\s+/g, '')
  if (base64 === '') throw new TokenError(`the join token is empty; ${create(expected)}`)
  try {
    if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new TypeError('not base64')
    return parseKubeconfig(gunzipSync(Buffer.from(base64, 'base64'), { maxOutputLength: maxBytes }).toString('utf8'))
  } catch (cause) {
    const hint = 'it may have been cut while copying'
    throw new TokenError(`the join token is malformed (${hint}); copy it whole, or ${create(expected)}`, { cause })
  }
}

function create(role: TokenRole): string {
  return `create one with "k0s token create --role ${role}" on a controller`
}
