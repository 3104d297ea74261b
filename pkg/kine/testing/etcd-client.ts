import { resolve } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** mvccpb.KeyValue */
export interface KeyValueMessage {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
  readonly lease: number
}

/** mvccpb.Event */
export interface EventMessage {
  readonly type: 'Put' | 'Delete'
  readonly kv: KeyValueMessage
  readonly prev_kv: KeyValueMessage | null
}

/** etcdserverpb.ResponseHeader */
export interface HeaderMessage {
  readonly cluster_id: number
  readonly member_id: number
  readonly revision: number
  readonly raft_term: number
}

/**
 * Any response: bytes are Buffers, 64-bit integers are numbers, enums are names, defaults are filled in. Which fields
 * are there depends on the call.
 */
export interface Message {
  readonly header: HeaderMessage
  readonly kvs: readonly KeyValueMessage[]
  readonly count: number
  readonly more: boolean
  readonly prev_kv: KeyValueMessage | null
  readonly prev_kvs: readonly KeyValueMessage[]
  readonly deleted: number
  readonly succeeded: boolean
  readonly responses: readonly OpMessage[]
  readonly watch_id: number
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: number
  readonly cancel_reason: string
  readonly fragment: boolean
  readonly events: readonly EventMessage[]
  readonly ID: number
  readonly TTL: number
  readonly grantedTTL: number
  readonly error: string
  readonly keys: readonly Buffer[]
  readonly leases: readonly { readonly ID: number }[]
  readonly version: string
  readonly dbSize: number
  readonly dbSizeInUse: number
  readonly hash: number
  readonly alarms: readonly { readonly memberID: number; readonly alarm: string }[]
  readonly errors: readonly string[]
  readonly members: readonly { readonly clientURLs: readonly string[] }[]
}

/** etcdserverpb.ResponseOp */
export interface OpMessage {
  readonly response_range: Message
  readonly response_put: Message
  readonly response_delete_range: Message
  readonly response_txn: Message
}

/** A bidirectional stream whose messages are awaited one by one. */
export interface TestStream {
  write(message: object): void
  /** Next message; rejects with the status when the stream has ended, or after a time, 5 s unless given: then it is over. */
  next(patienceMs?: number): Promise<Message>
  /** Messages that have arrived and were not taken. */
  readonly waiting: number
  /** Stops and goes on reading, so that flow control works against the server. */
  pause(): void
  resume(): void
  cancel(): void
  end(): void
}

const PATIENCE_MS = 5_000

type Services = ReturnType<typeof loadSync>

const load = (longs: NumberConstructor | StringConstructor): Services =>
  loadSync(resolve('node_modules/etcd3/proto/rpc.proto'), {
    keepCase: true,
    longs,
    enums: String,
    defaults: true,
    arrays: true,
    oneofs: true,
  })

const services = load(Number)
const exactServices = load(String)

/** Certificates of a client. */
export interface ClientTls {
  readonly caPem: string
  readonly certPem: string
  readonly keyPem: string
}

/** A client of any etcd server that uses neither this server's codec nor its transport: grpc-js and protobufjs. */
export class EtcdClient {
  readonly #client: grpc.Client

  constructor(address: string, tls?: ClientTls) {
    const credentials =
      tls === undefined
        ? grpc.credentials.createInsecure()
        : grpc.credentials.createSsl(Buffer.from(tls.caPem), Buffer.from(tls.keyPem), Buffer.from(tls.certPem))
    this.#client = new grpc.Client(address, credentials, {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    })
  }

  /** One unary call, `KV/Range`. Rejects with grpc-js's ServiceError; after `deadlineMs` it is unknown what happened. */
  call(method: string, request: object, options: { readonly deadlineMs?: number } = {}): Promise<Message> {
    return this.#unary(methodOf(services, method), request, options)
  }

  /** As `call` with 64-bit integers as decimal text, both ways: lease ids go beyond 2^53. */
  exact(method: string, request: object): Promise<unknown> {
    return this.#unary(methodOf(exactServices, method), request, {})
  }

  /** Bytes as they are to a method that need not exist. */
  raw(method: string, message: Buffer): Promise<unknown> {
    const same = (bytes: Buffer): Buffer => bytes
    return new Promise((resolvePromise, reject) => {
      this.#client.makeUnaryRequest(`/etcdserverpb.${method}`, same, same, message, (error, response) => {
        if (error === null) resolvePromise(response)
        else reject(error)
      })
    })
  }

  #unary(definition: Definition, request: object, { deadlineMs }: { readonly deadlineMs?: number }): Promise<Message> {
    return new Promise((resolvePromise, reject) => {
      this.#client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs },
        (error, response) => {
          if (error === null && response !== undefined) resolvePromise(response)
          else reject(error ?? new Error('no response'))
        },
      )
    })
  }

  /** One streaming call, `Watch/Watch`. */
  stream(method: string): TestStream {
    const definition = methodOf(services, method)
    const call = this.#client.makeBidiStreamRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
    )
    return new BufferedStream(call)
  }

  range(key: string, request: object = {}): Promise<Message> {
    return this.call('KV/Range', { key: Buffer.from(key), ...request })
  }

  put(key: string, value: string, request: object = {}): Promise<Message> {
    return this.call('KV/Put', { key: Buffer.from(key), value: Buffer.from(value), ...request })
  }

  /** Deletes one key. */
  remove(key: string, request: object = {}): Promise<Message> {
    return this.call('KV/DeleteRange', { key: Buffer.from(key), ...request })
  }

  txn(request: object): Promise<Message> {
    return this.call('KV/Txn', request)
  }

  close(): void {
    this.#client.close()
  }
}

/** Every key that starts with `prefix`, which must not end in 0xff. */
export function prefixRange(prefix: string): { readonly key: Buffer; readonly range_end: Buffer } {
  const end = Buffer.from(prefix)
  const last = end.length - 1
  end[last] = (end[last] ?? 0) + 1
  return { key: Buffer.from(prefix), range_end: end }
}

class BufferedStream implements TestStream {
  readonly #call: grpc.ClientDuplexStream<object, Message>
  readonly #messages: Message[] = []
  #wake: (() => void) | undefined
  #error: Error | undefined

  constructor(call: grpc.ClientDuplexStream<object, Message>) {
    this.#call = call
    call.on('data', (message: Message) => {
      this.#messages.push(message)
      this.#wake?.()
    })
    call.on('error', (error: Error) => this.#fail(error))
    call.on('end', () => this.#fail(new Error('stream ended')))
  }

  get waiting(): number {
    return this.#messages.length
  }

  write(message: object): void {
    this.#call.write(message)
  }

  async next(patienceMs = PATIENCE_MS): Promise<Message> {
    const timeout = setTimeout(() => this.#fail(new Error(`no message within ${patienceMs} ms`)), patienceMs)
    try {
      while (this.#messages.length === 0) {
        if (this.#error !== undefined) throw this.#error
        await new Promise<void>((wake) => (this.#wake = wake))
      }
      return this.#messages.shift() as Message
    } finally {
      clearTimeout(timeout)
    }
  }

  pause(): void {
    this.#call.pause()
  }

  resume(): void {
    this.#call.resume()
  }

  cancel(): void {
    this.#call.cancel()
  }

  end(): void {
    this.#call.end()
  }

  #fail(error: Error): void {
    this.#error ??= error
    this.#wake?.()
  }
}

type Definition = grpc.MethodDefinition<object, Message>

function methodOf(from: Services, name: string): Definition {
  const [service = '', method = ''] = name.split('/')
  const definition = from[`etcdserverpb.${service}`] as grpc.ServiceDefinition | undefined
  const found = definition?.[method]
  if (found === undefined) throw new Error(`no method ${name} in rpc.proto`)
  return found as Definition
}
