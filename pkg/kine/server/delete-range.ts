import type { Backend, DeleteRequest, TxnOpResult } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { toKeyRange } from '#pkg/kine/server/key-range.ts'
import { assertRequestSize } from '#pkg/kine/server/limits.ts'
import { RequestErrors } from '#pkg/kine/server/status.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

const EMPTY: Buffer = Buffer.alloc(0)

/** KV.DeleteRange: a transaction of one operation. */
export async function deleteRange(store: Backend, request: Buffer): Promise<Buffer> {
  const decoded = decodeDeleteRequest(new WireReader(request))
  assertRequestSize(request)
  using pinned = await store.txn({ compares: [], success: [{ type: 'delete', request: decoded }], failure: [] })
  const [result] = pinned.value.responses
  return await encodeDeleteResponse(store, encodeHeader(store, pinned.value.revision), result)
}

/** DeleteRangeRequest of an RPC or of a transaction. @throws GrpcError */
export function decodeDeleteRequest(reader: WireReader): DeleteRequest {
  let key = EMPTY
  let rangeEnd = EMPTY
  let previousWanted = false
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes()
    else if (reader.field === 2) rangeEnd = reader.bytes()
    else if (reader.field === 3) previousWanted = reader.bool()
    else reader.skip()
  }
  if (key.length === 0) throw RequestErrors.emptyKey()
  return { range: toKeyRange(key, rangeEnd), previousWanted }
}

/** DeleteRangeResponse with the deleted values if they were asked for. */
export async function encodeDeleteResponse(
  store: Backend,
  header: Buffer,
  result: TxnOpResult | undefined,
): Promise<Buffer> {
  const { deleted, previous } = result?.type === 'delete' ? result : { deleted: 0, previous: [] }
  const writer = new WireWriter().message(1, header).int(2, deleted)
  for (const keyValue of await store.loadKeyValues(previous)) writer.message(3, keyValue)
  return writer.finish()
}
