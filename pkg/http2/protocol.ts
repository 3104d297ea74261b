/** Frame types (RFC 9113, 6). */
export const FrameType = {
  data: 0,
  headers: 1,
  priority: 2,
  rstStream: 3,
  settings: 4,
  pushPromise: 5,
  ping: 6,
  goaway: 7,
  windowUpdate: 8,
  continuation: 9,
} as const

/** Flags of frames; ACK has the value of END_STREAM. */
export const Flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

/** Error codes (RFC 9113, 7). */
export const ErrorCode = {
  noError: 0,
  protocolError: 1,
  internalError: 2,
  flowControlError: 3,
  streamClosed: 5,
  frameSizeError: 6,
  refusedStream: 7,
  cancel: 8,
  compressionError: 9,
  enhanceYourCalm: 11,
} as const

/** Settings (RFC 9113, 6.5.2). */
export const Setting = {
  headerTableSize: 1,
  enablePush: 2,
  maxConcurrentStreams: 3,
  initialWindowSize: 4,
  maxFrameSize: 5,
} as const

/** What every HTTP/2 client says first. */
export const PREFACE: Buffer = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')

/** Length, type, flags and stream id before each payload. */
export const FRAME_HEADER_BYTES = 9
/** Largest payload unless a SETTINGS frame allows more. */
export const DEFAULT_MAX_FRAME_BYTES = 16_384
/** Window of a connection and of its streams unless told otherwise. */
export const DEFAULT_WINDOW_BYTES = 65_535
/** Windows never exceed this. */
export const MAX_WINDOW_BYTES = 0x7fff_ffff

/** The peer broke the protocol: the connection ends with this code in its GOAWAY. */
export class Http2Error extends Error {
  readonly errorCode: number

  constructor(errorCode: number, message: string) {
    super(message)
    this.name = 'Http2Error'
    this.errorCode = errorCode
  }
}
