import type { Http2Duplex } from '#pkg/http2/duplex.ts'

const codes = { failedPrecondition: 9, unimplemented: 12, unavailable: 14, unauthenticated: 16 } as const

/** Ends a gRPC call with nothing but a status; the message is percent-encoded as gRPC asks. */
export function refuseStream(stream: Http2Duplex, code: keyof typeof codes, message: string): void {
  if (stream.destroyed || stream.headersSent) return
  stream.respond(
    {
      ':status': '200',
      'content-type': 'application/grpc',
      'grpc-status': String(codes[code]),
      'grpc-message': encodeURIComponent(message).replaceAll('%20', ' '),
    },
    { end: true },
  )
}
