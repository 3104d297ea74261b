import { errorMessage } from '#pkg/errors/error.ts'
import { EtcdError } from '#pkg/etcd/errors.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { fetchMembers, type PeerOptions } from '#pkg/etcd/peer.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'

/** How long each gets to answer. */
const ASK_TIMEOUT_MS = 3_000

/** The members as the first of `peerUrls` that answers knows them. @throws EtcdError with the last reason when none answers */
export async function fetchMembersFromAny(
  peerUrls: readonly string[],
  { tls, signal }: PeerOptions,
): Promise<readonly EtcdMember[]> {
  let last: unknown
  for (const url of peerUrls) {
    try {
      return await withDeadline(signal, ASK_TIMEOUT_MS, (deadline) => fetchMembers(url, { tls, signal: deadline }))
    } catch (err) {
      signal.throwIfAborted()
      last = err
    }
  }
  throw new EtcdError(`no other member of etcd answers (${errorMessage(last)})`, { cause: last })
}
