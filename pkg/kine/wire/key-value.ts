import type { KeyVersion, LeaseId } from '#pkg/kine/backend.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { varintSize, writeVarint } from '#pkg/kine/wire/writer.ts'

/** mvccpb.KeyValue: key 1, create_revision 2, mod_revision 3, version 4, value 5, lease 6. */
const KEY = 0x0a
const CREATE_REVISION = 0x10
const MOD_REVISION = 0x18
const VERSION = 0x20
const VALUE = 0x2a
const LEASE = 0x30

const NO_VALUE: Buffer = Buffer.alloc(0)

/** Size of the encoded mvccpb.KeyValue of `version` with a value of `valueSize` bytes. */
export function keyValueSize(version: KeyVersion, valueSize: number): number {
  const { key, createRevision, modRevision, lease } = version
  let size = 1 + varintSize(key.length) + key.length
  size += 1 + varintSize(createRevision) + 1 + varintSize(modRevision) + 1 + varintSize(version.version)
  if (valueSize > 0) size += 1 + varintSize(valueSize) + valueSize
  if (lease !== 0) size += 1 + varintSize(lease)
  return size
}

/** Encoded mvccpb.KeyValue of a live version; by default a buffer of its own, so that it keeps nothing else alive. */
export function encodeKeyValue(
  version: KeyVersion,
  value: Buffer = NO_VALUE,
  allocate: (bytes: number) => Buffer = (bytes) => Buffer.allocUnsafeSlow(bytes),
): Buffer {
  const target = allocate(keyValueSize(version, value.length))
  let at = writeBytes(target, KEY, version.key, 0)
  at = writeInt(target, CREATE_REVISION, version.createRevision, at)
  at = writeInt(target, MOD_REVISION, version.modRevision, at)
  at = writeInt(target, VERSION, version.version, at)
  if (value.length > 0) at = writeBytes(target, VALUE, value, at)
  if (version.lease !== 0) writeInt(target, LEASE, version.lease, at)
  return target
}

/** Encoded mvccpb.KeyValue of a deletion: key and mod_revision only. */
export function encodeTombstone(version: KeyVersion): Buffer {
  const { key, modRevision } = version
  const target = Buffer.allocUnsafeSlow(2 + varintSize(key.length) + key.length + varintSize(modRevision))
  writeInt(target, MOD_REVISION, modRevision, writeBytes(target, KEY, key, 0))
  return target
}

/** The key, of that length, inside an encoded mvccpb.KeyValue, as a view of it. */
export function keyInside(keyValue: Buffer, length: number): Buffer {
  const start = 1 + varintSize(length)
  return keyValue.subarray(start, start + length)
}

/** The value inside an encoded mvccpb.KeyValue, as a view of it. */
export function valueOf(keyValue: Buffer): Buffer {
  const reader = new WireReader(keyValue)
  while (reader.next()) {
    if (reader.field === 5) return reader.bytes()
    reader.skip()
  }
  return NO_VALUE
}

function writeInt(target: Buffer, tag: number, value: LeaseId, at: number): number {
  target[at] = tag
  return writeVarint(target, value, at + 1)
}

function writeBytes(target: Buffer, tag: number, bytes: Buffer, at: number): number {
  target[at] = tag
  const start = writeVarint(target, bytes.length, at + 1)
  bytes.copy(target, start)
  return start + bytes.length
}
