import { errorMessage } from '#pkg/errors/error.ts'
import { peerAddressOf } from '#pkg/etcd/addresses.ts'
import type { EtcdClient } from '#pkg/etcd/client.ts'
import { EtcdError, MembershipRefusedError } from '#pkg/etcd/errors.ts'
import { initialCluster, type EtcdMember } from '#pkg/etcd/member.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A host that wants to be a member. */
export interface Candidate {
  readonly name: string
  /** `https://host:2380`. */
  readonly peerUrl: string
}

/** What the admission of a member needs. */
export interface AdmitDeps {
  readonly client: Pick<
    EtcdClient,
    'members' | 'addLearner' | 'remove' | 'alarms' | 'assertQuorum' | 'putFor' | 'get' | 'locked'
  >
  /** Resolves when the member at that URL answers. @throws with the reason */
  readonly assertPeerAnswers: (peerUrl: string, signal: AbortSignal) => Promise<void>
  readonly log: Logger
}

/** Keys of ours in etcd, beside Kubernetes' /registry. */
const keys = { lock: 'k0s/members/lock', joining: 'k0s/members/joining/' } as const
/** A lock whose holder died is free after this. */
const LOCK_TTL_SECONDS = 30
/** A host that was admitted has this long to start its etcd before the next one may take its turn. */
const TURN_SECONDS = 120
/** A member that does not answer for this long is taken for dead. */
const ANSWER_TIMEOUT_MS = 2_000

/**
 * Makes a host a learner of the cluster, one host at a time and only while all is well; the same host may ask again. What is
 * asked before, and why, is in docs/adr/0011-joining-controllers.md.
 *
 * @returns `name=URL` of all members, the new one included.
 * @throws MembershipRefusedError with the reason, to be tried again; EtcdError when etcd does not do it.
 */
export async function admitMember(candidate: Candidate, deps: AdmitDeps): Promise<readonly string[]> {
  await assertServing(deps.client)
  const busy = 'another controller is joining at this moment'
  return deps.client.locked(keys.lock, { ttlSeconds: LOCK_TTL_SECONDS, busy }, () => admit(candidate, deps))
}

async function admit(candidate: Candidate, deps: AdmitDeps): Promise<readonly string[]> {
  const { client, log } = deps
  const { name, peerUrl } = candidate
  const members = await client.members()
  const known = members.find(({ peerUrls }) => peerUrls.includes(peerUrl))
  assertNameIsFree(candidate, members, known)
  const others = members.filter((member) => member !== known)
  const stale = await staleLearners(others, deps)
  await assertAllAnswer(
    others.filter((member) => !stale.includes(member)),
    deps,
  )
  if (known !== undefined && known.name === '') {
    await client.putFor(`${keys.joining}${known.id}`, name, TURN_SECONDS)
    return initialCluster(members, candidate)
  }
  if (known !== undefined) {
    await assertIsDead(known, deps)
    log.warn('member of etcd replaced: its host joins anew, without its data', { member: known.name, peerUrl })
  }
  for (const member of [...stale, ...(known === undefined ? [] : [known])]) await client.remove(member.id)
  const added = await addLearner(peerUrl, client)
  await client.putFor(`${keys.joining}${added.id}`, name, TURN_SECONDS)
  log.info('member of etcd added as learner', { member: name, peerUrl })
  return initialCluster(await client.members(), candidate)
}

async function assertServing(client: AdmitDeps['client']): Promise<void> {
  await client.assertQuorum().catch((cause: unknown) => {
    throw new MembershipRefusedError(`etcd is unhealthy: it has no quorum (${errorMessage(cause)})`, { cause })
  })
  const alarms = await client.alarms()
  if (alarms.length === 0) return
  throw new MembershipRefusedError(`etcd is unhealthy: its alarm ${alarms.join(', ')} is on; clear its cause first`)
}

function assertNameIsFree({ name }: Candidate, members: readonly EtcdMember[], known: EtcdMember | undefined): void {
  const other = members.find((member) => member.name === name && member !== known)
  if (other === undefined) return
  throw new MembershipRefusedError(
    `another controller is called ${name} (${other.peerUrls.join(', ')}): give this host another name, or remove that one with "${leaveCommand(other)}"`,
  )
}

/** Learners that neither answer nor have their turn. @throws MembershipRefusedError while another one has it */
async function staleLearners(others: readonly EtcdMember[], deps: AdmitDeps): Promise<readonly EtcdMember[]> {
  const stale: EtcdMember[] = []
  for (const learner of others.filter(({ isLearner }) => isLearner)) {
    const inTurn = await deps.client.get(`${keys.joining}${learner.id}`)
    if (inTurn !== undefined || (await deadReason(learner, deps)) === undefined) {
      throw new MembershipRefusedError(
        `${inTurn ?? learner.name} is joining (${learner.peerUrls.join(', ')}); one at a time`,
      )
    }
    deps.log.warn('learner of etcd that never came is removed', { peerUrls: learner.peerUrls })
    stale.push(learner)
  }
  return stale
}

async function assertAllAnswer(voters: readonly EtcdMember[], deps: AdmitDeps): Promise<void> {
  const reasons = await Promise.all(voters.map(async (member) => [member, await deadReason(member, deps)] as const))
  const dead = reasons.find(([, reason]) => reason !== undefined)
  if (dead === undefined) return
  const [member, reason] = dead
  throw new MembershipRefusedError(
    `etcd is unhealthy: its member ${member.name} does not answer (${reason ?? ''}); bring it back, or remove it with "${leaveCommand(member)}" on a controller that runs`,
  )
}

async function assertIsDead(member: EtcdMember, deps: AdmitDeps): Promise<void> {
  if ((await deadReason(member, deps)) !== undefined) return
  throw new MembershipRefusedError(
    `${member.name} is a member of etcd and answers at ${member.peerUrls.join(', ')}: it is not replaced`,
  )
}

/** Why a member does not answer; undefined when it does. */
async function deadReason({ peerUrls }: EtcdMember, { assertPeerAnswers }: AdmitDeps): Promise<string | undefined> {
  let reason: string | undefined = 'it has no address'
  for (const url of peerUrls) {
    try {
      await withDeadline(undefined, ANSWER_TIMEOUT_MS, (signal) => assertPeerAnswers(url, signal))
      return undefined
    } catch (error) {
      reason = errorMessage(error)
    }
  }
  return reason
}

async function addLearner(peerUrl: string, client: AdmitDeps['client']): Promise<EtcdMember> {
  try {
    return await client.addLearner(peerUrl)
  } catch (cause) {
    // For five seconds after a change etcd does not count the newest member as connected.
    if (cause instanceof EtcdError && /unhealthy cluster|too many learner|not enough started/.test(cause.message)) {
      throw new MembershipRefusedError(cause.message, { cause })
    }
    throw cause
  }
}

function leaveCommand({ peerUrls: [url = ''] }: EtcdMember): string {
  return `k0s etcd leave --peer-address ${peerAddressOf(url)}`
}
