import type { KeyVersion } from '#pkg/kine/backend.ts'
import { ownCopy } from '#pkg/kine/keys.ts'

/**
 * Rows cross the thread boundary as one transferred ArrayBuffer: cloning a Buffer view would copy the whole slab
 * behind it, once per row. Numbers are float64, which holds every safe integer.
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

  /** A byte string; undefined is kept apart from an empty one. */
  bytes(value: Uint8Array | undefined): void {
    this.number(value === undefined ? -1 : value.length)
    if (value === undefined) return
    this.#reserve(value.length)
    this.#buffer.set(value, this.#length)
    this.#length += value.length
  }

  version(version: KeyVersion): void {
    this.number(version.id)
    this.number(version.modRevision)
    this.number(version.createRevision)
    this.number(version.version)
    this.number(version.lease)
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
    const lease = this.number()
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
