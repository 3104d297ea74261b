import { constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2'
import { SilenceError } from '#pkg/nllb/health.ts'
import { withPatience } from '#pkg/nllb/patience.ts'

/** What /readyz said; `none in time`: nothing, from a server that answers otherwise. */
export type Answer = { readonly status: number; readonly body: string } | 'none in time'

/** Milliseconds for an answer. A server that its store keeps waiting gives it after 2 s (kube-apiserver's check of etcd). */
const ANSWER_TIMEOUT_MS = 1_000
/** A list of all checks is about 2 KiB. */
const MAX_BODY_CHARS = 16 * 1024

/**
 * A PING: kube-apiserver's HTTP/2 answers that whatever its handlers wait for.
 *
 * @throws SilenceError when it is not answered, or why the connection was lost
 */
export async function ping(session: ClientHttp2Session, signal: AbortSignal): Promise<void> {
  await withPatience<undefined>(ANSWER_TIMEOUT_MS, signal, silence, (resolve, reject) => {
    session.ping((error) => (error === null ? resolve(undefined) : reject(error)))
  })
}

/**
 * GET /readyz, with a PING beside it.
 *
 * @throws SilenceError when neither is answered, or why the connection was lost
 */
export async function askReadyz(session: ClientHttp2Session, signal: AbortSignal): Promise<Answer> {
  signal.throwIfAborted()
  let isThere = false
  const stream = session.request({ ':path': '/readyz', 'user-agent': 'k0s-load-balancer' }, { endStream: true })
  const late = (): Answer => (isThere ? 'none in time' : silence())
  try {
    return await withPatience<Answer>(ANSWER_TIMEOUT_MS, signal, late, (resolve, reject) => {
      session.ping((error) => (isThere ||= error === null))
      readAnswer(stream, resolve, reject)
    })
  } finally {
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
  }
}

function silence(): never {
  throw new SilenceError(`no answer at all within ${ANSWER_TIMEOUT_MS} ms`)
}

function readAnswer(
  stream: ClientHttp2Stream,
  resolve: (answer: Answer) => void,
  reject: (error: Error) => void,
): void {
  let status = 0
  let body = ''
  stream.setEncoding('utf8')
  stream.on('response', (headers) => (status = Number(headers[':status'])))
  stream.on('data', (chunk: string) => (body = (body + chunk).slice(0, MAX_BODY_CHARS)))
  stream.on('error', reject)
  stream.on('close', () => {
    if (status > 0) resolve({ status, body })
    else reject(Object.assign(new Error('the connection was lost before an answer came'), { code: 'ECONNRESET' }))
  })
}
