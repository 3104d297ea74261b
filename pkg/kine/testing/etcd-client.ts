import { resolve } from 'node:path'
import * as grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import { BufferedStream } from '#pkg/kine/testing/etcd-stream.ts'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'

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

type Definition = grpc.MethodDefinition<object, Message>

function methodOf(from: Services, name: string): Definition {
  const [service = '', method = ''] = name.split('/')
  const definition = from[`etcdserverpb.${service}`] as grpc.ServiceDefinition | undefined
  const found = definition?.[method]
  if (found === undefined) throw new Error(`no method ${name} in rpc.proto`)
  return found as Definition
}
