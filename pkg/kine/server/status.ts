import { StoreError } from '#pkg/kine/errors.ts'
import type { StoreErrorKind } from '#pkg/kine/errors.ts'
import { WireError } from '#pkg/kine/wire/reader.ts'

/** gRPC status codes that this server uses. */
export const GrpcCode = {
  ok: 0,
  canceled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  resourceExhausted: 8,
  failedPrecondition: 9,
  outOfRange: 11,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
  dataLoss: 15,
} as const

/** A gRPC status as an exception. */
export class GrpcError extends Error {
  readonly grpcCode: number

  constructor(grpcCode: number, message: string) {
    super(message)
    this.name = 'GrpcError'
    this.grpcCode = grpcCode
  }
}

/** Clients tell etcd's errors apart by these texts (etcd api/v3rpc/rpctypes/error.go); so they are exact. */
const STORE_STATUS: Readonly<Record<StoreErrorKind, readonly [code: number, text: string]>> = {
  compacted: [GrpcCode.outOfRange, 'etcdserver: mvcc: required revision has been compacted'],
  'future-revision': [GrpcCode.outOfRange, 'etcdserver: mvcc: required revision is a future revision'],
  'key-not-found': [GrpcCode.invalidArgument, 'etcdserver: key not found'],
  'lease-not-found': [GrpcCode.notFound, 'etcdserver: requested lease not found'],
  'lease-exists': [GrpcCode.failedPrecondition, 'etcdserver: lease already exists'],
  'lease-ttl-too-large': [GrpcCode.outOfRange, 'etcdserver: too large lease TTL'],
  'no-space': [GrpcCode.resourceExhausted, 'etcdserver: mvcc: database space exceeded'],
  corrupt: [GrpcCode.dataLoss, 'etcdserver: corrupt cluster'],
  overloaded: [GrpcCode.resourceExhausted, 'etcdserver: too many requests'],
  unavailable: [GrpcCode.unavailable, 'etcdserver: request timed out'],
  stopped: [GrpcCode.unavailable, 'etcdserver: server stopped'],
}

/** Errors of requests that never reach the store. */
export const RequestErrors = {
  emptyKey: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: key is not provided'),
  keyNotFound: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: key not found'),
  valueProvided: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: value is provided'),
  leaseProvided: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: lease is provided'),
  tooManyOps: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: too many operations in txn request'),
  duplicateKey: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: duplicate key given in txn request'),
  invalidSort: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: invalid sort option'),
  tooLarge: () => new GrpcError(GrpcCode.invalidArgument, 'etcdserver: request is too large'),
} as const

/** Text of the compacted error, which a watch gives as its cancel reason. */
export const COMPACTED_TEXT = STORE_STATUS.compacted[1]

/** The status that a client gets for anything thrown. */
export function toStatus(error: unknown): GrpcError {
  if (error instanceof GrpcError) return error
  if (error instanceof StoreError) return new GrpcError(...STORE_STATUS[error.kind])
  if (error instanceof WireError) {
    return new GrpcError(GrpcCode.internal, `grpc: failed to unmarshal the received message: ${error.message}`)
  }
  return new GrpcError(GrpcCode.unknown, error instanceof Error ? error.message : String(error))
}

/** grpc-message: printable ASCII, everything else and `%` percent-encoded (gRPC over HTTP/2, "Responses"). */
export function encodeMessage(message: string): string {
  return message.replace(/[^\x20-\x24\x26-\x7e]+/g, (part) =>
    [...Buffer.from(part)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}
