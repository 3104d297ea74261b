import type { LeaseId, TxnOp, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { Histogram, exponentialBounds } from '#pkg/kine/metrics/histogram.ts'

/** What was done with the store since the start, as etcd counts it. Plain numbers: raising one costs nothing. */
export class StoreCounters {
  ranges = 0
  puts = 0
  deletes = 0
  /** Of more than one operation. */
  txns = 0
  /** Keys and values of puts, whether or not they were successful. */
  putBytes = 0
  /** Writes that are under way, were committed, and were not for want of the database. */
  pending = 0
  committed = 0
  failed = 0
  leasesGranted = 0
  leasesRenewed = 0
  leasesRevoked = 0
  leasesExpired = 0
  healthChecksPassed = 0
  healthChecksFailed = 0
  slowRequests = 0
  readonly leaseTtls = new Histogram(exponentialBounds(1, 2, 24))
  /** Leases that clients are revoking; another one that goes has expired. */
  readonly revoking = new Set<LeaseId>()

  /** The operations of a transaction that was run. */
  countTxn(request: TxnRequest, result: TxnResult): void {
    if (this.#countBranch(request, result) > 1) this.txns += 1
  }

  #countBranch(request: TxnRequest, { succeeded, responses }: TxnResult): number {
    const ops = succeeded ? request.success : request.failure
    let count = 0
    for (let i = 0; i < ops.length; i += 1) {
      const op = ops[i]
      const response = responses[i]
      if (op?.type === 'txn') count += response?.type === 'txn' ? this.#countBranch(op.request, response.result) : 0
      else if (op !== undefined) count += this.#countOp(op)
    }
    return count
  }

  #countOp(op: Exclude<TxnOp, { type: 'txn' }>): number {
    if (op.type === 'range') this.ranges += 1
    else if (op.type === 'delete') this.deletes += 1
    else {
      this.puts += 1
      this.putBytes += op.request.key.length + op.request.value.length
    }
    return 1
  }
}
