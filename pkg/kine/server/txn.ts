import { assertNever } from '#pkg/errors/error.ts'
import type { Backend, Compare, LeaseId, TxnOp, TxnOpResult, TxnRequest, TxnResult } from '#pkg/kine/backend.ts'
import { decodeDeleteRequest, encodeDeleteResponse } from '#pkg/kine/server/delete-range.ts'
import { encodeHeader, encodeInnerHeader } from '#pkg/kine/server/header.ts'
import { toKeyRange } from '#pkg/kine/server/key-range.ts'
import { assertRequestSize } from '#pkg/kine/server/limits.ts'
import { decodePutRequest, encodePutResponse } from '#pkg/kine/server/put.ts'
import { decodeRangeRequest, encodeRangeResponse, loadRange } from '#pkg/kine/server/range.ts'
import { GrpcCode, GrpcError, RequestErrors } from '#pkg/kine/server/status.ts'
import { assertTxn } from '#pkg/kine/server/txn-check.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

const EMPTY: Buffer = Buffer.alloc(0)
const RESULTS = ['equal', 'greater', 'less', 'not-equal'] as const
const NUMBER_TARGETS = ['version', 'create', 'mod'] as const
const VALUE_TARGET = 3
const LEASE_TARGET = 4
/** Field of Compare.target_union for each target that is a revision or a version. */
const OPERAND_FIELDS = [4, 5, 6] as const

/** KV.Txn */
export async function txn(store: Backend, request: Buffer): Promise<Buffer> {
  const decoded = decodeTxnRequest(new WireReader(request))
  assertTxn(decoded)
  if (!isReadOnly(decoded)) assertRequestSize(request)
  using pinned = await store.txn(decoded)
  return await encodeTxnResponse(store, encodeHeader(store, pinned.value.revision), pinned.value)
}

function decodeTxnRequest(reader: WireReader): TxnRequest {
  const compares: Compare[] = []
  const success: TxnOp[] = []
  const failure: TxnOp[] = []
  while (reader.next()) {
    if (reader.field === 1) compares.push(decodeCompare(reader.message()))
    else if (reader.field === 2) success.push(decodeOp(reader.message()))
    else if (reader.field === 3) failure.push(decodeOp(reader.message()))
    else reader.skip()
  }
  return { compares, success, failure }
}

function decodeCompare(reader: WireReader): Compare {
  let resultCode = 0
  let targetCode = 0
  let key = EMPTY
  let rangeEnd = EMPTY
  let value = EMPTY
  let lease: LeaseId = 0
  const numbers = new Map<number, number>()
  while (reader.next()) {
    if (reader.field === 1) resultCode = reader.int()
    else if (reader.field === 2) targetCode = reader.int()
    else if (reader.field === 3) key = reader.bytes()
    else if (reader.field === 7) value = reader.bytes()
    else if (reader.field === 64) rangeEnd = reader.bytes()
    else if (reader.field === 8) lease = reader.int64()
    else if (reader.field >= 4 && reader.field <= 6) numbers.set(reader.field, reader.int())
    else reader.skip()
  }
  if (key.length === 0) throw RequestErrors.emptyKey()
  const range = toKeyRange(key, rangeEnd)
  const result = RESULTS[resultCode]
  if (result === undefined) throw new GrpcError(GrpcCode.invalidArgument, 'etcdserver: invalid compare result')
  if (targetCode === VALUE_TARGET) return { range, result, target: 'value', operand: value }
  if (targetCode === LEASE_TARGET) return { range, result, target: 'lease', operand: lease }
  const target = NUMBER_TARGETS[targetCode]
  if (target === undefined) throw new GrpcError(GrpcCode.invalidArgument, 'etcdserver: invalid compare target')
  return { range, result, target, operand: numbers.get(OPERAND_FIELDS[targetCode] ?? 0) ?? 0 }
}

function decodeOp(reader: WireReader): TxnOp {
  let op: TxnOp | undefined
  while (reader.next()) {
    if (reader.field === 1) op = { type: 'range', query: decodeRangeRequest(reader.message()) }
    else if (reader.field === 2) op = { type: 'put', request: decodePutRequest(reader.message()) }
    else if (reader.field === 3) op = { type: 'delete', request: decodeDeleteRequest(reader.message()) }
    else if (reader.field === 4) op = { type: 'txn', request: decodeTxnRequest(reader.message()) }
    else reader.skip()
  }
  if (op === undefined) throw RequestErrors.keyNotFound()
  return op
}

function isReadOnly({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(({ type }) => type === 'range')
}

async function encodeTxnResponse(store: Backend, header: Buffer, result: TxnResult): Promise<Buffer> {
  const writer = new WireWriter(256).message(1, header).bool(2, result.succeeded)
  for (const response of result.responses) writer.message(3, await encodeOpResponse(store, response))
  return writer.finish()
}

async function encodeOpResponse(store: Backend, response: TxnOpResult): Promise<Buffer> {
  switch (response.type) {
    case 'range': {
      const { result } = response
      const header = encodeInnerHeader(result.revision)
      return new WireWriter().message(1, encodeRangeResponse(header, result, await loadRange(store, result))).finish()
    }
    case 'put': {
      const header = encodeInnerHeader(response.revision)
      return new WireWriter().message(2, await encodePutResponse(store, header, response)).finish()
    }
    case 'delete': {
      const header = encodeInnerHeader(response.revision)
      return new WireWriter().message(3, await encodeDeleteResponse(store, header, response)).finish()
    }
    case 'txn': {
      const header = encodeInnerHeader(response.result.revision)
      return new WireWriter().message(4, await encodeTxnResponse(store, header, response.result)).finish()
    }
    default:
      return assertNever(response)
  }
}
