import { ErrorCode, Flag, Http2Error } from '#pkg/http2/protocol.ts'

/** No bytes. */
export const NOTHING: Buffer = Buffer.alloc(0)

/** The peer did what RFC 9113 does not allow. */
export function protocolError(message: string): Http2Error {
  return new Http2Error(ErrorCode.protocolError, message)
}

/** The 32-bit number that is all of a payload. @throws Http2Error */
export function numberOf(payload: Buffer): number {
  if (payload.length !== 4) throw new Http2Error(ErrorCode.frameSizeError, 'a payload of 4 bytes is wanted')
  return payload.readUInt32BE(0)
}

/** A payload without its padding. @throws Http2Error */
export function unpad(flags: number, payload: Buffer): Buffer {
  if ((flags & Flag.padded) === 0) return payload
  const padding = payload[0] ?? 0
  if (padding >= payload.length) throw protocolError('more padding than payload')
  return payload.subarray(1, payload.length - padding)
}
