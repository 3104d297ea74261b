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

/** etcd answers at once when the learner has not caught up; a log of a gigabyte takes seconds. */
const ASK_EVERY_MS = 250
/** A promotion is a change that the quorum agrees on. */
const ASK_TIMEOUT_MS = 10_000

/**
 * Asks the members in turn to let this one vote, until it does. A learner's own API refuses that, so the one that joins asks the
 * others; whoever is asked passes it on to the leader, which agrees once the learner has nearly all of its log.
 */
export async function promoteSelf(
  own: OwnMember,
  deps: { readonly signal: AbortSignal; readonly log: Logger; readonly onWaiting: (reason: string) => void },
): Promise<void> {
  const { signal, log, onWaiting } = deps
  let last = ''
  for (let attempt = 0; ; attempt += 1) {
    const reason = await withDeadline(signal, ASK_TIMEOUT_MS, (deadline) => tryPromotion(own, attempt, deadline)).catch(
      (err: unknown) => {
        signal.throwIfAborted()
        return errorMessage(err)
      },
    )
    if (reason === undefined) return
    if (reason !== last) log.info('this member of etcd does not vote yet', { reason })
    last = reason
    onWaiting(`this member is a learner; it has not been promoted yet: ${reason}`)
    await sleep(ASK_EVERY_MS, { signal })
  }
}

/**
 * Why it does not vote yet; undefined when it does, in the eyes of another member and in its own. Its own alone do not count: until it
 * has read the log it takes every member of --initial-cluster for a voter, itself too.
 *
 * @throws EtcdError
 */
async function tryPromotion(own: OwnMember, attempt: number, signal: AbortSignal): Promise<string | undefined> {
  const { peerUrl, tls } = own
  const asSelf = await fetchMembers(peerUrl, { tls, signal })
  const others = otherUrls(own, asSelf)
  const other = others[attempt % Math.max(others.length, 1)]
  if (other === undefined) return 'it knows of no other member'
  const self = (await fetchMembers(other, { tls, signal })).find(({ peerUrls }) => peerUrls.includes(peerUrl))
  if (self === undefined) return `${other} knows of no such member`
  if (self.isLearner) {
    const result = await promote(other, self.id, { tls, signal })
    return result.promoted ? 'it has not heard of its promotion yet' : result.reason
  }
  const isLearner = asSelf.find(({ peerUrls }) => peerUrls.includes(peerUrl))?.isLearner ?? true
  return isLearner ? 'it has not heard of its promotion yet' : undefined
}

/** Where the others are: as this member knows by now, and as it was told when it joined. */
function otherUrls({ peerUrl, initialCluster }: OwnMember, members: readonly EtcdMember[]): readonly string[] {
  const told = initialCluster.map((entry) => entry.slice(entry.indexOf('=') + 1))
  const known = members.filter(({ isLearner }) => !isLearner).flatMap(({ peerUrls }) => peerUrls)
  return [...new Set([...known, ...told])].filter((url) => url !== peerUrl)
}
