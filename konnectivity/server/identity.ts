import { SocketAddress, isIPv6 } from 'node:net'
import type { PeerCertificate } from 'node:tls'
import { workerIdentities } from '#pkg/constant/identity.ts'

/** Who a connected agent is. */
export interface AgentIdentity {
  /** From metadata `agentID`; for logs and status only. */
  readonly agentId: string
  /** Proven by the client certificate; undefined for an agent that proved itself otherwise. */
  readonly nodeName: string | undefined
  /** Hosts that strategy destHost sends to this agent. */
  readonly hosts: readonly string[]
  /** Strategy defaultRoute may use this agent. */
  readonly defaultRoute: boolean
}

/** What a peer shows when it opens its control stream. */
export interface AgentCredentials {
  /** The chain was verified against the cluster's CA. */
  readonly verified: boolean
  /** Why it was not. */
  readonly verifyError: string | undefined
  readonly certificate: PeerCertificate | undefined
  /** Metadata `authorization`, for authenticators of bearer tokens. */
  readonly authorization: string | undefined
}

/** Decides whether a peer may serve as an agent; rejects with AgentRefusedError. */
export interface AgentAuthenticator {
  authenticate(credentials: AgentCredentials): Promise<{ readonly nodeName: string | undefined }>
}

/** The peer may not be an agent; the message is logged and sent to it. */
export class AgentRefusedError extends Error {
  /** More about the reason, for the log only. */
  readonly detail: string | undefined

  constructor(reason: string, detail?: string) {
    super(`agent refused: ${reason}`)
    this.name = 'AgentRefusedError'
    this.detail = detail
  }
}

/** Whether the peer may be an agent could not be found out; it may try again. */
export class AgentUnverifiedError extends Error {
  constructor(reason: string, options: { readonly cause: unknown }) {
    super(`agent not verified: ${reason}`, options)
    this.name = 'AgentUnverifiedError'
  }
}

/** Accepts client certificates of the cluster's CA with the tunnel agents' organisation; the node is in its name. */
export const certificateAuthenticator: AgentAuthenticator = {
  authenticate: ({ verified, verifyError, certificate }) => {
    const { group, commonNamePrefix } = workerIdentities.tunnelAgent
    if (certificate === undefined) return refuse('no client certificate')
    if (!verified) return refuse(`certificate not accepted: ${verifyError ?? 'unknown reason'}`)
    const commonName = first(certificate.subject.CN)
    const organizations = [certificate.subject.O].flat()
    if (!organizations.includes(group)) {
      return refuse(`certificate of ${JSON.stringify(commonName)} lacks organisation ${group}`)
    }
    const nodeName = commonName.startsWith(`${commonNamePrefix}:`) ? commonName.slice(commonNamePrefix.length + 1) : ''
    if (nodeName === '') return refuse(`common name ${JSON.stringify(commonName)} is not ${commonNamePrefix}:<node>`)
    return Promise.resolve({ nodeName })
  },
}

function refuse(reason: string): Promise<never> {
  return Promise.reject(new AgentRefusedError(reason))
}

// Types say string, but Node.js gives an array for a repeated attribute and nothing for a missing one.
function first(value: string | readonly string[] | undefined): string {
  return [value ?? ''].flat()[0] ?? ''
}

/**
 * Reads metadata `agentIdentifiers` (a URL query: ipv4, ipv6, host, cidr, default-route; unknown ones are ignored, as
 * upstream does). `host` counts only for an agent without a proven node name: a node cannot claim another's traffic by
 * name.
 */
export function parseIdentifiers(
  query: string,
  nodeName: string | undefined,
): Pick<AgentIdentity, 'hosts' | 'defaultRoute'> {
  const values = new URLSearchParams(query)
  const addresses = [...values.getAll('ipv4'), ...values.getAll('ipv6')].map(normalizeHost)
  const names = (nodeName === undefined ? values.getAll('host') : [nodeName]).map(normalizeHost)
  return {
    hosts: [...new Set([...names, ...addresses].filter((host) => host !== ''))].slice(0, MAX_HOSTS),
    defaultRoute: ['true', '1', 't'].includes((values.get('default-route') ?? '').toLowerCase()),
  }
}

/** More names and addresses than this no node has. */
const MAX_HOSTS = 64

/** The host of `host:port`, without the brackets of an IPv6 literal. */
export function hostOf(address: string): string {
  const host = address.slice(0, address.lastIndexOf(':'))
  return normalizeHost(host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host)
}

/** One spelling for each host: lower case, IPv6 in its canonical form, IPv4 not as a mapped IPv6 address. */
export function normalizeHost(host: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(host)?.[1]
  if (mapped !== undefined) return mapped
  return isIPv6(host) ? new SocketAddress({ address: host, family: 'ipv6' }).address : host.toLowerCase()
}
