// Runs on a worker, from standard input, with nothing but Node.js: creates ConfigMaps at a steady rate through the loopback address
// of the node-local load balancer and notes each one that was acknowledged, with the milliseconds since boot. Ends with its
// standard input.
import { appendFileSync } from 'node:fs'
import { connect, type ClientHttp2Session } from 'node:http2'
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: {
    server: { type: 'string', default: '' },
    ca: { type: 'string', default: '' },
    cert: { type: 'string', default: '' },
    key: { type: 'string', default: '' },
    out: { type: 'string', default: '' },
    'every-ms': { type: 'string', default: '20' },
  },
})
const monotonicMs = (): number => Number(process.hrtime.bigint() / 1_000_000n)
const pem = (base64: string): Buffer => Buffer.from(base64, 'base64')
const everyMs = Number(values['every-ms'])
/** Requests without an answer at once; more are not sent. */
const MAX_OPEN = 100
const TIMEOUT_MS = 3_000

let session: ClientHttp2Session | undefined
let open = 0
let next = 0

function current(): ClientHttp2Session {
  if (session !== undefined && !session.closed && !session.destroyed) return session
  const fresh = connect(values.server, { ca: pem(values.ca), cert: pem(values.cert), key: pem(values.key) })
  fresh.on('error', () => undefined).on('goaway', () => fresh.close())
  session = fresh
  return fresh
}

function write(): void {
  if (open >= MAX_OPEN) return
  const n = next
  next += 1
  open += 1
  const name = `acknowledged-${String(n)}`
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace: 'ha' }, data: { n: String(n) } }
  const of = current()
  const stream = of.request({
    ':method': 'POST',
    ':path': '/api/v1/namespaces/ha/configmaps',
    'content-type': 'application/json',
  })
  // A connection that leaves one request without an answer is given up, as clients of Kubernetes do by their pings.
  stream.setTimeout(TIMEOUT_MS, () => of.destroy())
  stream.on('response', (headers) => {
    if (headers[':status'] === 201) appendFileSync(values.out, `${String(n)} ${String(monotonicMs())}\n`)
  })
  stream.on('error', () => undefined)
  stream.on('close', () => (open -= 1))
  stream.resume()
  stream.end(JSON.stringify(body))
}

const timer = setInterval(write, everyMs)
process.stdin.resume().on('end', () => {
  clearInterval(timer)
  session?.destroy()
})
