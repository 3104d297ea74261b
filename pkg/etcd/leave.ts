import type { EtcdClient } from '#pkg/etcd/client.ts'
import { MembershipRefusedError } from '#pkg/etcd/errors.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'

/**
 * Removes the member at `peerUrl`.
 *
 * @throws MembershipRefusedError when there is none, or it is the last that votes; EtcdError when etcd refuses, as it does
 *   when those that stay would have no quorum.
 */
export async function leaveCluster(
  peerUrl: string,
  client: Pick<EtcdClient, 'members' | 'remove'>,
): Promise<EtcdMember> {
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
  await client.remove(member.id)
  return member
}
