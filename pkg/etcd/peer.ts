import { once } from 'node:events'
import https from 'node:https'
import type { IncomingMessage } from 'node:http'
import { errorMessage } from '#pkg/errors/error.ts'
import { EtcdError } from '#pkg/etcd/errors.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'

/** Certificate and key that etcd's authority signed, and that authority. */
export interface EtcdTls {
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** How a member is asked at its peer port. */
export interface PeerOptions {
  readonly tls: EtcdTls
  readonly signal: AbortSignal
}

/** What etcd says of a promotion that is not possible yet or not needed any more. */
export type Promotion = { readonly promoted: true } | { readonly promoted: false; readonly reason: string }

/**
 * The members as the one at `peerUrl` knows them. Members ask each other the same, over HTTPS: it takes no gRPC, and also a
 * learner answers (etcd, server/etcdserver/api/etcdhttp/peer.go).
 *
 * @throws EtcdError when it does not answer.
 */
export async function fetchMembers(peerUrl: string, options: PeerOptions): Promise<readonly EtcdMember[]> {
  const { status, body } = await ask('GET', `${peerUrl}/members`, options)
  if (status !== 200) throw new EtcdError(`${peerUrl} answers ${String(status)}: ${body.trim().slice(0, 200)}`)
  // Ids are uint64, more than a number of JavaScript holds.
  const members = JSON.parse(body.replaceAll(/"id":\s*(\d+)/g, '"id":"$1"')) as readonly WireMember[]
  return members.map(({ id, name = '', peerURLs, isLearner = false }) => ({ id, name, peerUrls: peerURLs, isLearner }))
}

interface WireMember {
  readonly id: string
  readonly name?: string
  readonly peerURLs: readonly string[]
  readonly isLearner?: boolean
}

/** Resolves when the member at `peerUrl` answers at all. @throws EtcdError with the reason why not */
export async function assertPeerAnswers(peerUrl: string, options: PeerOptions): Promise<void> {
  await ask('GET', `${peerUrl}/version`, options)
}

/**
 * Asks the member at `peerUrl` to let a learner vote; it asks the leader. Also the learner itself may ask, whose own API
 * refuses that.
 *
 * @throws EtcdError when the member does not answer.
 */
export async function promote(peerUrl: string, memberId: string, options: PeerOptions): Promise<Promotion> {
  const { status, body } = await ask('POST', `${peerUrl}/members/promote/${memberId}`, options)
  if (status === 200 || body.includes('membership: can only promote a learner member')) return { promoted: true }
  return { promoted: false, reason: body.trim().slice(0, 200) }
}

async function ask(
  method: 'GET' | 'POST',
  url: string,
  { tls, signal }: PeerOptions,
): Promise<{ readonly status: number; readonly body: string }> {
  const request = https.request(url, {
    method,
    signal,
    agent: false, // members are asked seldom, and an idle connection would hide that one is gone
    ca: tls.caPem,
    cert: tls.certPem,
    key: tls.keyPem,
    minVersion: 'TLSv1.2',
  })
  try {
    request.end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let body = ''
    response.setEncoding('utf8')
    for await (const chunk of response) body += String(chunk)
    return { status: response.statusCode ?? 0, body }
  } catch (cause) {
    throw new EtcdError(`${new URL(url).host} does not answer: ${errorMessage(cause)}`, { cause })
  }
}
