import type { Backend, LeaseId, PutRequest, TxnOpResult } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { assertRequestSize } from '#pkg/kine/server/limits.ts'
import { RequestErrors } from '#pkg/kine/server/status.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

const EMPTY: Buffer = Buffer.alloc(0)

/** KV.Put: a transaction of one operation. */
export async function put(store: Backend, request: Buffer): Promise<Buffer> {
  const decoded = decodePutRequest(new WireReader(request))
  assertRequestSize(request)
  using pinned = await store.txn({ compares: [], success: [{ type: 'put', request: decoded }], failure: [] })
  const [result] = pinned.value.responses
  return await encodePutResponse(store, encodeHeader(store, pinned.value.revision), result)
}

/** PutRequest of an RPC or of a transaction. @throws GrpcError */
export function decodePutRequest(reader: WireReader): PutRequest {
  let key = EMPTY
  let value = EMPTY
  let lease: LeaseId = 0
  let previousWanted = false
  let ignoreValue = false
  let ignoreLease = false
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes()
    else if (reader.field === 2) value = reader.bytes()
    else if (reader.field === 3) lease = reader.int64()
    else if (reader.field === 4) previousWanted = reader.bool()
    else if (reader.field === 5) ignoreValue = reader.bool()
    else if (reader.field === 6) ignoreLease = reader.bool()
    else reader.skip()
  }
  if (key.length === 0) throw RequestErrors.emptyKey()
  if (ignoreValue && value.length > 0) throw RequestErrors.valueProvided()
  if (ignoreLease && lease !== 0) throw RequestErrors.leaseProvided()
  return { key, value, lease, previousWanted, ignoreValue, ignoreLease }
}

/** PutResponse with the previous value if one was asked for. */
export async function encodePutResponse(
  store: Backend,
  header: Buffer,
  result: TxnOpResult | undefined,
): Promise<Buffer> {
  const previous = result?.type === 'put' ? result.previous : undefined
  const [keyValue] = previous === undefined ? [] : await store.loadKeyValues([previous])
  return new WireWriter().message(1, header).message(2, keyValue).finish()
}
