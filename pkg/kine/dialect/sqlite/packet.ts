import type { KeyVersion, LeaseId } from '#pkg/kine/backend.ts'
import { ownCopy } from '#pkg/kine/keys.ts'
import { int64 } from '#pkg/kine/wire/int64.ts'

/**
 * Rows cross the thread boundary as one transferred ArrayBuffer: cloning a Buffer view would copy the whole slab
 * behind it, once per row. Numbers are float64, which holds every safe integer; lease ids are int64.
 */
export class PacketWriter {
  #buffer: Buffer
  #length = 0

  constructor(sizeHint = 4096) {
    this.#buffer = Buffer.allocUnsafeSlow(sizeHint)
  }

  get length(): number {
    return this.#length
  }

  number(value: number): void {
    this.#reserve(8)
    this.#length = this.#buffer.writeDoubleLE(value, this.#length)
  }

  /** An id of a lease; SQLite gives those beyond 2^53 as text, see int64Column in schema.ts. */
  leaseId(id: LeaseId | string): void {
    this.#reserve(8)
    const exact = typeof id === 'number' ? id : BigInt(id)
    if (typeof exact === 'bigint') this.#buffer.writeBigInt64LE(exact, this.#length)
    else {
      this.#buffer.writeUInt32LE(exact >>> 0, this.#length)
      this.#buffer.writeInt32LE(Math.floor(exact / 0x1_0000_0000), this.#length + 4)
    }
    this.#length += 8
  }

  /** A byte string; undefined is kept apart from an empty one. */
  bytes(value: Uint8Array | undefined): void {
    this.number(value === undefined ? -1 : value.length)
    if (value === undefined) return
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  version(version: KeyVersion | StoredVersion): void {
    this.number(version.id)
    this.number(version.modRevision)
    this.number(version.createRevision)
    this.number(version.version)
    this.leaseId(version.lease)
    this.number(version.valueSize)
    this.bytes(version.key)
  }

  /** The packet, to be transferred; the writer must not be used afterwards. */
  finish(): ArrayBuffer {
    const { buffer } = this.#buffer
    return (buffer as ArrayBuffer).transfer(this.#length)
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(grown, 0, 0, this.#length)
    release(this.#buffer)
    this.#buffer = grown
  }
}

/** A version as SQLite gives it. */
export type StoredVersion = Omit<KeyVersion, 'lease'> & { readonly lease: number | string }

/** Reads what PacketWriter wrote. Byte strings are views of the packet unless copied. */
export class PacketReader {
  readonly #buffer: Buffer
  #at = 0

  constructor(packet: ArrayBuffer) {
    this.#buffer = Buffer.from(packet)
  }

  get atEnd(): boolean {
    return this.#at >= this.#buffer.length
  }

  number(): number {
    const value = this.#buffer.readDoubleLE(this.#at)
    this.#at += 8
    return value
  }

  leaseId(): LeaseId {
    const low = this.#buffer.readUInt32LE(this.#at)
    const high = this.#buffer.readInt32LE(this.#at + 4)
    this.#at += 8
    return int64(high, low)
  }

  bytes(): Buffer | undefined {
    const length = this.number()
    if (length < 0) return undefined
    const start = this.#at
    this.#at += length
    return this.#buffer.subarray(start, this.#at)
  }

  /** A byte string that must be there. */
  present(): Buffer {
    const bytes = this.bytes()
    if (bytes === undefined) throw new RangeError('packet lacks a byte string')
    return bytes
  }

  /** Frees the packet; byte strings and versions that were not copied are gone. */
  release(): void {
    release(this.#buffer)
  }

  /** A version with a key of its own, fit for the index. */
  version(): KeyVersion {
    const version = this.versionView()
    return { ...version, key: ownCopy(version.key) }
  }

  /** A version whose key is a view of the packet. */
  versionView(): KeyVersion {
    const id = this.number()
    const modRevision = this.number()
    const createRevision = this.number()
    const version = this.number()
    const lease = this.leaseId()
    const valueSize = this.number()
    return { key: this.present(), id, modRevision, createRevision, version, lease, valueSize }
  }
}

/**
 * Frees the memory of a buffer that nothing refers to any more. A thread that only moves bytes makes hardly any objects,
 * so its garbage collector would let megabytes of such buffers pile up.
 */
export function release(bytes: Buffer): void {
  const { buffer } = bytes
  // A part of a larger buffer belongs to others.
  if (buffer instanceof ArrayBuffer && buffer.byteLength === bytes.length) buffer.transfer(0)
}
