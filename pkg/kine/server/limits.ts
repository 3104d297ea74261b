import { RequestErrors } from '#pkg/kine/server/status.ts'

/** etcd --max-request-bytes: the API server answers 413 for what is above it. */
const MAX_REQUEST_BYTES = 1.5 * 1024 * 1024
/** What etcd's raft entry puts around a request, about. */
const ENVELOPE_BYTES = 20

/** @throws GrpcError 'request is too large', for a request that changes something */
export function assertRequestSize(request: Buffer): void {
  if (request.length + ENVELOPE_BYTES > MAX_REQUEST_BYTES) throw RequestErrors.tooLarge()
}
