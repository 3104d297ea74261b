import type { Family, Sample } from '#pkg/kine/metrics/exposition.ts'
import { Histogram } from '#pkg/kine/metrics/histogram.ts'

/** Names of the gRPC status codes by number, as in grpc_code. */
const CODES = [
  'OK',
  'Canceled',
  'Unknown',
  'InvalidArgument',
  'DeadlineExceeded',
  'NotFound',
  'AlreadyExists',
  'PermissionDenied',
  'ResourceExhausted',
  'FailedPrecondition',
  'Aborted',
  'OutOfRange',
  'Unimplemented',
  'Internal',
  'Unavailable',
  'DataLoss',
  'Unauthenticated',
] as const
/** Default bounds of Prometheus' clients. */
const HANDLING_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

interface MethodCounts {
  readonly labels: Readonly<Record<string, string>>
  started: number
  /** By code. */
  readonly handled: number[]
  /** Of unary methods only: how long a stream lasts says nothing. */
  readonly seconds: Histogram | undefined
}

/** Calls by method, under the names of go-grpc-prometheus, which etcd uses. */
export class GrpcMetrics {
  readonly #methods: ReadonlyMap<string, MethodCounts>

  /** Paths of the methods; calls of others are not counted, since clients can make up any number of them. */
  constructor(unary: Iterable<string>, streams: Iterable<string>) {
    this.#methods = new Map([
      ...[...unary].map((path) => [path, counts(path, 'unary')] as const),
      ...[...streams].map((path) => [path, counts(path, 'bidi_stream')] as const),
    ])
  }

  started(path: string): void {
    const method = this.#methods.get(path)
    if (method !== undefined) method.started += 1
  }

  handled(path: string, code: number, durationMs: number): void {
    const method = this.#methods.get(path)
    if (method === undefined) return
    method.handled[code] = (method.handled[code] ?? 0) + 1
    method.seconds?.observe(durationMs / 1000)
  }

  families(): readonly Family[] {
    const methods = [...this.#methods.values()]
    const called = methods.filter(({ started }) => started > 0)
    return [
      {
        name: 'grpc_server_started_total',
        type: 'counter',
        help: 'Total number of RPCs started on the server.',
        samples: methods.map(({ labels, started }) => ({ labels, value: started })),
      },
      {
        name: 'grpc_server_handled_total',
        type: 'counter',
        help: 'Total number of RPCs completed on the server, regardless of success or failure.',
        samples: methods.flatMap(handledSamples),
      },
      {
        name: 'grpc_server_handling_seconds',
        type: 'histogram',
        help: 'Time from the request to the end of the answer of unary RPCs, in seconds.',
        samples: called.flatMap(({ labels, seconds }) => seconds?.samples(labels) ?? []),
      },
    ]
  }
}

function counts(path: string, type: string): MethodCounts {
  const [, service = '', method = ''] = path.split('/')
  return {
    labels: { grpc_method: method, grpc_service: service, grpc_type: type },
    started: 0,
    handled: CODES.map(() => 0),
    seconds: type === 'unary' ? new Histogram(HANDLING_SECONDS) : undefined,
  }
}

/** OK always, so that a rate of errors has something to be divided by; other codes once they were given. */
function handledSamples({ labels, handled }: MethodCounts): readonly Sample[] {
  return CODES.flatMap((name, code) => {
    const value = handled[code] ?? 0
    return code === 0 || value > 0 ? [{ labels: { grpc_code: name, ...labels }, value }] : []
  })
}
