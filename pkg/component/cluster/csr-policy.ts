import { isIP } from 'node:net'
import { CONTROLLER_LEASE_PREFIX } from '#pkg/component/cluster/controller-lease.ts'
import { workerCommonName, workerIdentities } from '#pkg/constant/identity.ts'

/** Signers of Kubernetes whose requests are looked at; every other request is somebody else's. */
export const signers = {
  /** Client certificates of kubelets. */
  kubeletClient: 'kubernetes.io/kube-apiserver-client-kubelet',
  /** Serving certificates of kubelets. */
  kubeletServing: 'kubernetes.io/kubelet-serving',
  /** Client certificates of anything else. */
  client: 'kubernetes.io/kube-apiserver-client',
} as const

/** A CertificateSigningRequest with its X.509 request decoded. */
export interface SigningRequest {
  readonly signerName: string
  /** Who asks: user and groups as the API server authenticated them. */
  readonly username: string
  readonly groups: readonly string[]
  readonly usages: readonly string[]
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
  readonly uris: readonly string[]
  readonly emails: readonly string[]
}

/** Node.status.addresses. */
export interface NodeAddress {
  readonly type: string
  readonly address: string
}

/** Node.status.conditions. */
export interface NodeCondition {
  readonly type: string
  /** `True`, `False` or `Unknown`. */
  readonly status: string
}

/** Names and addresses under which clients reach one controller. */
export interface ReservedNames {
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
  /** The node of that very host, where it is one: they are its own. */
  readonly ownNode?: string | undefined
}

/** What is to be done about a request. */
export type CsrVerdict =
  | { readonly action: 'approve'; readonly message: string }
  /** Not ours to judge, or not what we vouch for: left for an administrator. */
  | { readonly action: 'leave'; readonly reason: string }
  /** Not now: what stands against it goes away by itself, or by what an administrator does. */
  | { readonly action: 'wait'; readonly reason: string }

/** What a request by itself tells. */
export type CsrDecision =
  | CsrVerdict
  /** Serving certificates are judged by the addresses of this node. */
  | { readonly action: 'check-node'; readonly nodeName: string }
  /** First client certificates are judged by the node that has this name already, if there is one. */
  | { readonly action: 'check-name'; readonly nodeName: string }

const clientUsages: readonly (readonly string[])[] = [
  ['client auth', 'digital signature'],
  ['client auth', 'digital signature', 'key encipherment'], // RSA keys
]
const servingUsages: readonly (readonly string[])[] = [
  ['digital signature', 'server auth'],
  ['digital signature', 'key encipherment', 'server auth'],
]
const NODE_USER = 'system:node:'

/** Judges a request by what it says; pure. */
export function decideCsr(request: SigningRequest): CsrDecision {
  switch (request.signerName) {
    case signers.kubeletClient:
      return decideKubeletClient(request)
    case signers.client:
      return decideWorkerIdentity(request)
    case signers.kubeletServing:
      return decideKubeletServing(request)
    default:
      return leave(`signer ${request.signerName} is not ours`)
  }
}

/**
 * Judges a first client certificate by the node that has the name already: whoever has a join token must not become a node that is
 * alive. Kubernetes itself says which are: Ready is Unknown once nothing was heard of a kubelet for 50 s (node lifecycle controller,
 * --node-monitor-grace-period), so that a host that was reset or installed anew waits for no longer than that.
 */
export function decideFirst(nodeName: string, conditions: readonly NodeCondition[] | undefined): CsrVerdict {
  const ready = conditions?.find(({ type }) => type === 'Ready')?.status ?? 'Unknown'
  if (ready === 'Unknown') return { action: 'approve', message: `first client certificate of node ${nodeName}` }
  return {
    action: 'wait',
    reason: `another host is node ${nodeName}, and alive: give this one another name; one that was reset or installed anew goes on within a minute`,
  }
}

/**
 * Judges a serving request by the addresses that its node reports. A kubelet may report any: what clients take for the API
 * server is given to none, as the certificate would come from the authority that they trust.
 */
export function decideServing(
  request: SigningRequest,
  addresses: readonly NodeAddress[],
  {
    canonicalIp,
    reserved,
  }: { readonly canonicalIp: (ip: string) => string; readonly reserved: readonly ReservedNames[] },
): CsrVerdict {
  const nodeName = request.username.slice(NODE_USER.length)
  const known = (types: readonly string[]): string[] =>
    addresses.filter(({ type }) => types.includes(type)).map(({ address }) => address)
  const names = new Set(
    [nodeName, ...known(['Hostname', 'InternalDNS', 'ExternalDNS'])].map((name) => name.toLowerCase()),
  )
  const ips = new Set(
    known(['InternalIP', 'ExternalIP'])
      .filter((ip) => isIP(ip) !== 0)
      .map(canonicalIp),
  )
  const ofOthers = reserved.filter(({ ownNode }) => ownNode !== nodeName)
  const takenNames = new Set(ofOthers.flatMap(({ dnsNames }) => dnsNames.map((name) => name.toLowerCase())))
  const takenIps = new Set(ofOthers.flatMap(({ ips }) => ips.map(canonicalIp)))
  const foreign = [
    ...request.dnsNames.filter((name) => !names.has(name.toLowerCase()) || isClusterName(name)),
    ...request.ips.filter((ip) => !ips.has(canonicalIp(ip)) || isLoopback(canonicalIp(ip))),
  ]
  if (foreign.length > 0) return leave(`${foreign.join(', ')} is no address of node ${nodeName}`)
  const taken = [
    ...request.dnsNames.filter((name) => takenNames.has(name.toLowerCase())),
    ...request.ips.filter((ip) => takenIps.has(canonicalIp(ip))),
  ]
  if (taken.length > 0) return leave(`${taken.join(', ')} is the API server's, not of node ${nodeName}`)
  return { action: 'approve', message: `serving certificate of node ${nodeName}` }
}

function decideKubeletClient(request: SigningRequest): CsrDecision {
  const { commonName, username, groups } = request
  const nodeName = commonName.startsWith(NODE_USER) ? commonName.slice(NODE_USER.length) : ''
  if (nodeName === '') return leave(`common name ${commonName} is no node`)
  // A kubelet may write the lease of its own name, and such a one would be taken for a controller's.
  if (nodeName.startsWith(CONTROLLER_LEASE_PREFIX)) return leave(`no node may be called ${nodeName}`)
  if (!isExactly(request.organizations, ['system:nodes'])) return leave('organisation is not exactly system:nodes')
  const problem = clientProblem(request)
  if (problem !== undefined) return leave(problem)
  const isRenewal = username === commonName && groups.includes('system:nodes')
  const isBootstrap = username.startsWith('system:bootstrap:') && groups.includes('system:bootstrappers')
  if (!isRenewal && !isBootstrap) return leave(`${username} may not ask for ${commonName}`)
  return isRenewal ? { action: 'approve', message: `renewal of node ${nodeName}` } : { action: 'check-name', nodeName }
}

function decideWorkerIdentity(request: SigningRequest): CsrDecision {
  const nodeName = nodeOf(request)
  if (nodeName === undefined) return leave(`${request.username} is no node`)
  const identity = Object.values(workerIdentities).find((row) => workerCommonName(row, nodeName) === request.commonName)
  if (identity === undefined) return leave(`${request.commonName} is no part of node ${nodeName}`)
  if (!isExactly(request.organizations, [identity.group])) return leave(`organisation is not exactly ${identity.group}`)
  const problem = clientProblem(request)
  if (problem !== undefined) return leave(problem)
  return { action: 'approve', message: `client certificate ${request.commonName}` }
}

function decideKubeletServing(request: SigningRequest): CsrDecision {
  const nodeName = nodeOf(request)
  if (nodeName === undefined) return leave(`${request.username} is no node`)
  if (request.commonName !== request.username) return leave(`${request.username} may not ask for ${request.commonName}`)
  if (!isExactly(request.organizations, ['system:nodes'])) return leave('organisation is not exactly system:nodes')
  if (!servingUsages.some((usages) => isExactly(request.usages, usages)))
    return leave('usages are not those of a server')
  if (request.uris.length + request.emails.length > 0) return leave('URIs and e-mail addresses are not for nodes')
  if (request.dnsNames.length + request.ips.length === 0) return leave('no name or address')
  return { action: 'check-node', nodeName }
}

function nodeOf({ username, groups }: SigningRequest): string | undefined {
  if (!username.startsWith(NODE_USER) || !groups.includes('system:nodes')) return undefined
  return username.slice(NODE_USER.length)
}

function clientProblem({ usages, dnsNames, ips, uris, emails }: SigningRequest): string | undefined {
  if (!clientUsages.some((allowed) => isExactly(usages, allowed))) return 'usages are not those of a client'
  if (dnsNames.length + ips.length + uris.length + emails.length > 0) return 'a client has no alternative names'
  return undefined
}

/** Names under which clients reach the API server or a Service: a node that reports one as its own gets none of it. */
function isClusterName(name: string): boolean {
  return /^(localhost|kubernetes)$|\.svc$|\.svc\.|^kubernetes\.default$/i.test(name)
}

function isLoopback(ip: string): boolean {
  return ip.startsWith('127.') || ip === '::1'
}

/** The same members, in any order. */
function isExactly(actual: readonly string[], expected: readonly string[]): boolean {
  return actual.length === expected.length && expected.every((member) => actual.includes(member))
}

function leave(reason: string): CsrVerdict {
  return { action: 'leave', reason }
}
