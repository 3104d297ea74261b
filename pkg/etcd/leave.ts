import type { EtcdClient } from '#pkg/etcd/client.ts'
import { MembershipRefusedError } from '#pkg/etcd/errors.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** With what a member is removed. */
export interface LeaveDeps {
  readonly client: Pick<EtcdClient, 'members' | 'remove'>
  /** The members as the first that answers at `peerUrls` knows them. @throws when none answers */
  readonly askOthers: (peerUrls: readonly string[]) => Promise<readonly EtcdMember[]>
}

/** One that follows the leader late may not know of a removal yet. */
const ASK_TIMES = 10
const ASK_AGAIN_MS = 200

/**
 * Removes the member at `peerUrl`.
 *
 * @throws MembershipRefusedError when there is none, or it is the last that votes; EtcdError when etcd refuses, as it does
 *   when those that stay would have no quorum.
 */
export async function leaveCluster(peerUrl: string, { client, askOthers }: LeaveDeps): Promise<EtcdMember> {
  const members = await client.members()
  const member = members.find(({ peerUrls }) => peerUrls.includes(peerUrl))
  if (member === undefined) {
    const known = members.flatMap(({ peerUrls }) => peerUrls).join(', ')
    throw new MembershipRefusedError(`etcd has no member at ${peerUrl}; its members are at ${known}`)
  }
  const voters = members.filter(({ isLearner }) => !isLearner)
  if (!member.isLearner && voters.length === 1) {
    throw new MembershipRefusedError(
      `${member.name} is the last member of etcd and cannot leave: the cluster would be gone; "k0s reset" removes that`,
    )
  }
  try {
    await client.remove(member.id)
  } catch (err) {
    // A member that removes itself ends with that, and its answer may be lost.
    const others = voters.filter(({ id }) => id !== member.id).flatMap(({ peerUrls }) => peerUrls)
    if (!(await isRemoved(member, () => askOthers(others)))) throw err
  }
  return member
}

async function isRemoved({ id }: EtcdMember, ask: () => Promise<readonly EtcdMember[]>): Promise<boolean> {
  for (let times = 0; times < ASK_TIMES; times += 1) {
    if (times > 0) await sleep(ASK_AGAIN_MS)
    const members = await ask().catch(() => undefined)
    if (members === undefined) return false
    if (!members.some((member) => member.id === id)) return true
  }
  return false
}
