import type { ApiChildConfig } from '#pkg/api/child-config.ts'
import { caResponse, type EtcdRequest, type EtcdResponse } from '#pkg/api/wire.ts'
import { peerUrlAt } from '#pkg/etcd/addresses.ts'
import { admitMember } from '#pkg/etcd/admit.ts'
import { assertPeerAnswers } from '#pkg/etcd/peer.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Makes hosts members of the etcd of this controller. Loads etcd3 when the first one comes. */
export function etcdJoin(
  { authority, endpoint, tls }: NonNullable<ApiChildConfig['etcd']>,
  { log }: { readonly log: Logger },
): (request: EtcdRequest) => Promise<EtcdResponse> {
  return async ({ node, peerAddress }) => {
    const { EtcdClient } = await import('#pkg/etcd/client.ts')
    await using client = new EtcdClient({ endpoints: [endpoint], tls })
    const candidate = { name: node, peerUrl: peerUrlAt(peerAddress) }
    const initialCluster = await admitMember(candidate, {
      client,
      assertPeerAnswers: (url, signal) => assertPeerAnswers(url, { tls, signal }),
      log,
    })
    return { ca: caResponse(authority), initialCluster }
  }
}
