import type { LeaseId, LeaseRecord, Pinned, Revision, TxnOp, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { ForwardingBackend } from '#pkg/kine/forwarding-backend.ts'

/** A store that refuses what its alarms forbid, before it looks at anything else, as etcd does. */
export class AlarmedStore extends ForwardingBackend {
  override async txn(request: TxnRequest): Promise<Pinned<TxnResult>> {
    if (mayDo(request, isPut)) this.alarms.assertGrowable()
    else if (mayDo(request, isChange)) this.alarms.assertChangeable()
    return super.txn(request)
  }

  override async compact(revision: Revision): Promise<Revision> {
    this.alarms.assertChangeable()
    return super.compact(revision)
  }

  override async leaseGrant(id: LeaseId, ttlSeconds: number): Promise<LeaseRecord> {
    this.alarms.assertGrowable()
    return super.leaseGrant(id, ttlSeconds)
  }

  override async leaseRevoke(id: LeaseId): Promise<Revision> {
    this.alarms.assertChangeable()
    return super.leaseRevoke(id)
  }
}

const isPut = ({ type }: TxnOp): boolean => type === 'put'
const isChange = ({ type }: TxnOp): boolean => type === 'delete'

/** In whichever branch, however deep. */
function mayDo({ success, failure }: TxnRequest, what: (op: TxnOp) => boolean): boolean {
  return [...success, ...failure].some((op) => what(op) || (op.type === 'txn' && mayDo(op.request, what)))
}
