import { storageComponent, type ControllerOptions } from '#pkg/component/controller/context.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import { etcdTls } from '#pkg/component/controller/etcd-process.ts'
import { etcdPeerUrl } from '#pkg/component/controller/etcd-args.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { assertPeerAnswers, fetchMembers } from '#pkg/etcd/peer.ts'
import { withDeadline } from '#pkg/lifecycle/deadline.ts'

/** The members of the etcd that this controller is one of. */
export interface EtcdMembership {
  /** Asked at the peer port of this host. @throws EtcdError */
  members(signal: AbortSignal): Promise<readonly EtcdMember[]>
  /** Whether the member at that URL answers, within a while. */
  answers(peerUrl: string, signal: AbortSignal): Promise<boolean>
  /** Removes the member at that URL. Loads etcd3. @throws EtcdError, MembershipRefusedError */
  leave(peerUrl: string): Promise<void>
}

/** A member that serves answers in milliseconds, busy as it may be. */
const ANSWER_TIMEOUT_MS = 2_000

/** Undefined where the controllers run no etcd. */
export function etcdMembership(own: ControllerOptions, pki: PkiSource): EtcdMembership | undefined {
  if (storageComponent(own.spec) !== 'etcd') return undefined
  return {
    members: (signal) => fetchMembers(etcdPeerUrl(own), { tls: etcdTls(pki.material()), signal }),
    answers: async (peerUrl, signal) => {
      const tls = etcdTls(pki.material())
      try {
        await withDeadline(signal, ANSWER_TIMEOUT_MS, (within) => assertPeerAnswers(peerUrl, { tls, signal: within }))
        return true
      } catch {
        signal.throwIfAborted()
        return false
      }
    },
    leave: async (peerUrl) => {
      const [{ EtcdClient }, { leaveCluster }, { fetchMembersFromAny }] = await Promise.all([
        import('#pkg/etcd/client.ts'),
        import('#pkg/etcd/leave.ts'),
        import('#pkg/etcd/any-member.ts'),
      ])
      const tls = etcdTls(pki.material())
      await using client = new EtcdClient({ endpoints: [etcdClientUrl], tls })
      const signal = new AbortController().signal
      await leaveCluster(peerUrl, { client, askOthers: (urls) => fetchMembersFromAny(urls, { tls, signal }) })
    },
  }
}
