import { resolve } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'

/** A decoded message: bytes are Buffers, 64-bit integers are numbers, enums are names, defaults are filled in. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- messages of a dynamically loaded .proto
export type Message = any

/** A bidirectional stream whose messages are awaited one by one. */
export interface TestStream {
  write(message: object): void
  /** Next message; rejects with the status when the stream has ended, or after 5 s. */
  next(): Promise<Message>
  /** Messages that have arrived and were not taken. */
  readonly waiting: number
  /** Stops and goes on reading, so that flow control works against the server. */
  pause(): void
  resume(): void
  cancel(): void
  end(): void
}

const PATIENCE_MS = 5_000

const services = loadSync(resolve('node_modules/etcd3/proto/rpc.proto'), {
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  arrays: true,
  oneofs: true,
})

/** A client of any etcd server that uses neither this server's codec nor its transport: grpc-js and protobufjs. */
export class EtcdClient {
  readonly #client: grpc.Client

  constructor(address: string) {
    this.#client = new grpc.Client(address, grpc.credentials.createInsecure(), {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
    })
  }

  /** One unary call, `KV/Range`. Rejects with grpc-js's ServiceError. */
  call(method: string, request: object): Promise<Message> {
    const definition = methodOf(method)
    return new Promise((resolvePromise, reject) => {
      this.#client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        request,
        (error, response) => {
          if (error === null) resolvePromise(response)
          else reject(error)
        },
      )
    })
  }

  /** One streaming call, `Watch/Watch`. */
  stream(method: string): TestStream {
    const definition = methodOf(method)
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

  async next(): Promise<Message> {
    const timeout = setTimeout(() => this.#fail(new Error(`no message within ${PATIENCE_MS} ms`)), PATIENCE_MS)
    try {
      while (this.#messages.length === 0) {
        if (this.#error !== undefined) throw this.#error
        await new Promise<void>((wake) => (this.#wake = wake))
      }
      return this.#messages.shift()
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

function methodOf(name: string): grpc.MethodDefinition<object, Message> {
  const [service = '', method = ''] = name.split('/')
  const definition = services[`etcdserverpb.${service}`] as grpc.ServiceDefinition | undefined
  const found = definition?.[method]
  if (found === undefined) throw new Error(`no method ${name} in rpc.proto`)
  return found as grpc.MethodDefinition<object, Message>
}
