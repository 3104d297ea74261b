import type { Backend, Revision } from '#pkg/kine/backend.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** There is no raft here; clients only print it. */
const RAFT_TERM = 1

/** Encoded etcdserverpb.ResponseHeader of an answer. */
export function encodeHeader(store: Pick<Backend, 'clusterId' | 'memberId'>, revision: Revision): Buffer {
  return new WireWriter(48).int(1, store.clusterId).int(2, store.memberId).int(3, revision).int(4, RAFT_TERM).finish()
}

/** The header inside a transaction's operation: etcd fills in the revision only. */
export function encodeInnerHeader(revision: Revision): Buffer {
  return new WireWriter(16).int(3, revision).finish()
}
