import type { Backend, KeyVersion, Pinned, RangeQuery, RangeResult, SortOrder, SortTarget } from '#pkg/kine/backend.ts'
import type { StreamedMessage } from '#pkg/kine/server/call.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { toKeyRange } from '#pkg/kine/server/key-range.ts'
import { RequestErrors } from '#pkg/kine/server/status.ts'
import { encodeKeyValue, keyValueSize } from '#pkg/kine/wire/key-value.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { varintSize, WireWriter, writeVarint } from '#pkg/kine/wire/writer.ts'

const SORT_ORDERS: readonly SortOrder[] = ['none', 'ascend', 'descend']
const SORT_TARGETS: readonly SortTarget[] = ['key', 'version', 'create', 'mod', 'value']
/** RangeResponse.kvs: field 2, bytes. */
const KVS = 0x12
/** Values of a long list are read and sent in parts of about this size, and at most this many keys. */
const PART_BYTES = 256 * 1024
const PART_KEYS = 1000
const EMPTY: Buffer = Buffer.alloc(0)

/** KV.Range */
export async function range(store: Backend, request: Buffer): Promise<Buffer | StreamedMessage> {
  const pinned = await store.range(decodeRangeRequest(new WireReader(request)))
  let handedOver = false
  try {
    const { value: result } = pinned
    const header = encodeHeader(store, result.revision)
    const sizes = measure(result, header)
    if (sizes.keyValues <= PART_BYTES && result.versions.length <= PART_KEYS) {
      return encodeRangeResponse(header, result, await loadRange(store, result))
    }
    handedOver = true
    return { length: sizes.total, parts: rangeParts(store, header, pinned) }
  } finally {
    if (!handedOver) pinned[Symbol.dispose]()
  }
}

/** Encoded key-values of a result, in order. */
export async function loadRange(store: Backend, { versions, keysOnly }: RangeResult): Promise<readonly Buffer[]> {
  // Without lease, as from etcd 3.7, which answers this from its index too.
  if (keysOnly) return versions.map((version) => encodeKeyValue({ ...version, lease: 0 }))
  return store.loadKeyValues(versions)
}

/** RangeRequest of an RPC or of a transaction. @throws GrpcError */
export function decodeRangeRequest(reader: WireReader): RangeQuery {
  let key = EMPTY
  let rangeEnd = EMPTY
  const numbers = new Map<number, number>()
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes()
    else if (reader.field === 2) rangeEnd = reader.bytes()
    else if (reader.field <= 13) numbers.set(reader.field, reader.int())
    else reader.skip()
  }
  if (key.length === 0) throw RequestErrors.emptyKey()
  const number = (field: number): number => numbers.get(field) ?? 0
  const sortOrder = SORT_ORDERS[number(5)]
  const sortTarget = SORT_TARGETS[number(6)]
  if (sortOrder === undefined || sortTarget === undefined) throw RequestErrors.invalidSort()
  return {
    range: toKeyRange(key, rangeEnd),
    limit: Math.max(0, number(3)),
    revision: number(4),
    serializable: number(7) !== 0,
    sortOrder,
    sortTarget,
    keysOnly: number(8) !== 0,
    countOnly: number(9) !== 0,
    minModRevision: number(10),
    maxModRevision: number(11),
    minCreateRevision: number(12),
    maxCreateRevision: number(13),
  }
}

/** A RangeResponse in one buffer. */
export function encodeRangeResponse(header: Buffer, result: RangeResult, keyValues: readonly Buffer[]): Buffer {
  const head = encodeHead(header)
  const tail = encodeTail(result)
  let size = head.length + tail.length
  for (const { length } of keyValues) size += 1 + varintSize(length) + length
  const target = Buffer.allocUnsafe(size)
  let at = head.copy(target, 0)
  for (const keyValue of keyValues) at = writeKeyValue(target, keyValue, at)
  tail.copy(target, at)
  return target
}

function measure(result: RangeResult, header: Buffer): { readonly total: number; readonly keyValues: number } {
  let keyValues = 0
  for (const version of result.versions) {
    const length = result.keysOnly
      ? keyValueSize({ ...version, lease: 0 }, 0)
      : keyValueSize(version, version.valueSize)
    keyValues += 1 + varintSize(length) + length
  }
  return { keyValues, total: encodeHead(header).length + keyValues + encodeTail(result).length }
}

async function* rangeParts(store: Backend, header: Buffer, pinned: Pinned<RangeResult>): AsyncGenerator<Buffer> {
  using held = pinned
  const result = held.value
  yield encodeHead(header)
  for (const versions of parts(result.versions)) {
    const keyValues = await loadRange(store, { ...result, versions })
    let size = 0
    for (const { length } of keyValues) size += 1 + varintSize(length) + length
    const part = Buffer.allocUnsafeSlow(size)
    let at = 0
    for (const keyValue of keyValues) at = writeKeyValue(part, keyValue, at)
    yield part
  }
  const tail = encodeTail(result)
  if (tail.length > 0) yield tail
}

function* parts(versions: readonly KeyVersion[]): Generator<readonly KeyVersion[]> {
  let from = 0
  let bytes = 0
  for (const [i, { valueSize }] of versions.entries()) {
    bytes += valueSize
    if (bytes < PART_BYTES && i + 1 - from < PART_KEYS) continue
    yield versions.slice(from, i + 1)
    from = i + 1
    bytes = 0
  }
  if (from < versions.length) yield versions.slice(from)
}

function encodeHead(header: Buffer): Buffer {
  return new WireWriter(header.length + 24).message(1, header).finish()
}

function encodeTail({ more, count }: RangeResult): Buffer {
  return new WireWriter(48).bool(3, more).int(4, count).finish()
}

function writeKeyValue(target: Buffer, keyValue: Buffer, at: number): number {
  target[at] = KVS
  const start = writeVarint(target, keyValue.length, at + 1)
  keyValue.copy(target, start)
  return start + keyValue.length
}
