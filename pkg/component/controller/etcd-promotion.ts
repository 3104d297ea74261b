import { errorMessage } from '#pkg/errors/error.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { fetchMembers, promote, type EtcdTls } from '#pkg/etcd/peer.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** The member of this host. */
interface OwnMember {
  readonly peerUrl: string
  readonly tls: EtcdTls
  /** `name=URL` of the members that it was told to join. */
  readonly initialCluster: readonly string[]
}

/** What goes on around a promotion. */
interface PromotionDeps {
  readonly signal: AbortSignal
  readonly log: Logger
  /** Told why it does not vote yet. */
  readonly onWaiting: (reason: string) => void
  /** Starts etcd again. @throws when it does not start */
  readonly restart: () => Promise<void>
}

/** etcd answers at once when the learner has not caught up; a log of a gigabyte takes seconds. */
const ASK_EVERY_MS = 100
/** How long a learner that has read the log may go without a name, if its announcement is on its way. */
const ANNOUNCED_WITHIN_MS = 300
/** A promotion is a change that the quorum agrees on. */
const ASK_TIMEOUT_MS = 10_000

/**
 * Asks the members in turn to let this one vote, until it does. A learner's own API refuses that, so the one that joins asks the
 * others; whoever is asked passes it on to the leader, which agrees once the learner has nearly all of its log.
 *
 * A learner that is sent a snapshot loses its announcement of its name meanwhile, and etcd serves no client before that; it repeats it
 * after 7 s. Started again it does at once, and a learner that restarts costs no vote: so this is done before the promotion.
 */
export async function promoteSelf(own: OwnMember, deps: PromotionDeps): Promise<void> {
  const { signal, log, onWaiting, restart } = deps
  let last = ''
  let namelessSince: number | undefined
  let restarted = false
  for (let attempt = 0; ; attempt += 1) {
    const state = await withDeadline(signal, ASK_TIMEOUT_MS, (deadline) => lookAtSelf(own, attempt, deadline)).catch(
      (err: unknown): SelfState => {
        signal.throwIfAborted()
        return { is: 'waiting', reason: errorMessage(err) }
      },
    )
    if (state.is === 'voter') return
    let { reason } = state
    if (state.is === 'learner' && state.isNameless && !restarted) {
      namelessSince ??= performance.now()
      if (performance.now() - namelessSince >= ANNOUNCED_WITHIN_MS) {
        log.info('etcd starts again, to announce itself: it was sent a snapshot meanwhile')
        try {
          await restart()
          restarted = true
        } catch (err) {
          signal.throwIfAborted()
          reason = errorMessage(err)
        }
      }
    } else if (state.is === 'learner') {
      reason = await withDeadline(signal, ASK_TIMEOUT_MS, (deadline) => askFor(state, own, deadline)).catch(
        (err: unknown) => {
          signal.throwIfAborted()
          return errorMessage(err)
        },
      )
    }
    if (reason !== last) log.info('this member of etcd does not vote yet', { reason })
    last = reason
    onWaiting(`this member is a learner; it has not been promoted yet: ${reason}`)
    await sleep(ASK_EVERY_MS, { signal })
  }
}

/** What this member is, in the eyes of another and in its own. */
type SelfState =
  | { readonly is: 'voter' }
  | { readonly is: 'waiting'; readonly reason: string }
  | {
      readonly is: 'learner'
      readonly id: string
      /** Who says so, and can promote it. */
      readonly other: string
      /** The others have not heard its name, though it has read the log. */
      readonly isNameless: boolean
      readonly reason: string
    }

/**
 * A voter is one in the eyes of another member and in its own. Its own alone do not count: until it has read the log it takes every
 * member of --initial-cluster for a voter, itself too.
 *
 * @throws EtcdError
 */
async function lookAtSelf(own: OwnMember, attempt: number, signal: AbortSignal): Promise<SelfState> {
  const { peerUrl, tls } = own
  const isSelf = ({ peerUrls }: EtcdMember): boolean => peerUrls.includes(peerUrl)
  const asSelf = await fetchMembers(peerUrl, { tls, signal })
  const others = otherUrls(own, asSelf)
  const other = others[attempt % Math.max(others.length, 1)]
  if (other === undefined) return { is: 'waiting', reason: 'it knows of no other member' }
  const self = (await fetchMembers(other, { tls, signal })).find(isSelf)
  if (self === undefined) return { is: 'waiting', reason: `${other} knows of no such member` }
  const hasRead = asSelf.find(isSelf)?.isLearner === true
  if (self.isLearner) {
    if (!hasRead) return { is: 'waiting', reason: 'it has not read the log of the others yet' }
    const isNameless = self.name === ''
    return { is: 'learner', id: self.id, other, isNameless, reason: 'it has not announced itself yet' }
  }
  if (hasRead || !asSelf.some(isSelf)) return { is: 'waiting', reason: 'it has not heard of its promotion yet' }
  return { is: 'voter' }
}

/** Asks for its promotion; why it does not vote yet. @throws EtcdError */
async function askFor(
  { other, id }: { readonly other: string; readonly id: string },
  { tls }: OwnMember,
  signal: AbortSignal,
): Promise<string> {
  const result = await promote(other, id, { tls, signal })
  return result.promoted ? 'it has not heard of its promotion yet' : result.reason
}

/** Where the others are: as this member knows by now, and as it was told when it joined. */
function otherUrls({ peerUrl, initialCluster }: OwnMember, members: readonly EtcdMember[]): readonly string[] {
  const told = initialCluster.map((entry) => entry.slice(entry.indexOf('=') + 1))
  const known = members.filter(({ isLearner }) => !isLearner).flatMap(({ peerUrls }) => peerUrls)
  return [...new Set([...known, ...told])].filter((url) => url !== peerUrl)
}
