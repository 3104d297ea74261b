import { K0sError } from '#pkg/errors/error.ts'

/** A member of etcd cannot be reached, or answered with a failure. */
export class EtcdError extends K0sError {
  override readonly code = 'ERR_ETCD'
}

/** The members of etcd are not to change now; the message says why and what to do. */
export class MembershipRefusedError extends K0sError {
  override readonly code = 'ERR_ETCD_MEMBERSHIP'
}
