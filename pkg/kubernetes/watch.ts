import { errorMessage } from '#pkg/errors/error.ts'
import { KubeApiError, KubeConnectionError } from '#pkg/kubernetes/errors.ts'
import type { KubeObject, WatchEvent } from '#pkg/kubernetes/types.ts'

/** A single event may be this large; etcd's own limit for an object is 1.5 MiB, so more is not a watch stream. */
const MAX_FRAME_BYTES = 16 * 1024 * 1024

/**
 * Decodes the body of a watch: one JSON document a line. Reads no further than its consumer does, and ends when the
 * stream ends.
 *
 * @throws KubeApiError for an ERROR event (410: list again), KubeConnectionError for bytes that are not events.
 */
export async function* decodeWatch<T extends KubeObject>(body: AsyncIterable<Buffer>): AsyncGenerator<WatchEvent<T>> {
  for await (const line of splitLines(body)) {
    yield decodeEvent<T>(line)
  }
}

async function* splitLines(body: AsyncIterable<Buffer>): AsyncGenerator<string> {
  let pending: Buffer[] = []
  let pendingBytes = 0
  for await (const chunk of body) {
    let start = 0
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      pending.push(chunk.subarray(start, end))
      const line = Buffer.concat(pending).toString('utf8')
      pending = []
      pendingBytes = 0
      start = end + 1
      if (line.trim() !== '') yield line
    }
    if (start < chunk.length) {
      pending.push(chunk.subarray(start))
      pendingBytes += chunk.length - start
    }
    if (pendingBytes > MAX_FRAME_BYTES) {
      throw new KubeConnectionError(`watch stream sent more than ${MAX_FRAME_BYTES} bytes without a line end`)
    }
  }
  if (pendingBytes > 0) throw new KubeConnectionError(`watch stream ended in the middle of an event`)
}

function decodeEvent<T extends KubeObject>(line: string): WatchEvent<T> {
  let event: { readonly type?: unknown; readonly object?: unknown }
  try {
    event = JSON.parse(line) as typeof event
  } catch (cause) {
    throw new KubeConnectionError(`watch stream sent a malformed event: ${errorMessage(cause)}`, { cause })
  }
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      return { type: event.type, object: event.object as T }
    case 'ERROR':
      throw statusError(event.object)
    default:
      throw new KubeConnectionError(`watch stream sent an event of unknown type ${JSON.stringify(event.type)}`)
  }
}

function statusError(object: unknown): KubeApiError {
  const {
    code = 500,
    reason = '',
    message = 'no message',
  } = object as { code?: number; reason?: string; message?: string }
  return new KubeApiError({ status: code, reason, message: `watch failed: ${code} ${reason}: ${message}` })
}

const NEWLINE = 0x0a
