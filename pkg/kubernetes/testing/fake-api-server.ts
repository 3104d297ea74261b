import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { once } from 'node:events'
import { mergePatch, FakeStore, type FakeResource, type StoredEvent } from '#pkg/kubernetes/testing/fake-store.ts'
import type { KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** One request as the fake saw it. */
export interface SeenRequest {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Http2ServerRequest['headers']
  readonly body: unknown
}

/** Answers a request itself by returning true; false lets the store answer. */
export type Intercept = (request: SeenRequest, response: Http2ServerResponse) => boolean | Promise<boolean>

/**
 * A small API server on a real socket of the loopback: objects of any known kind, watches with replay and 410,
 * aggregated discovery, server-side apply as a merge. No admission, no schema: what tests of clients need.
 */
export class FakeApiServer implements AsyncDisposable {
  readonly store = new FakeStore()
  /** Every request so far. */
  readonly requests: SeenRequest[] = []
  readonly #server: Http2Server | Http2SecureServer
  readonly #sockets = new Set<Socket>()
  readonly #watches = new Set<Http2ServerResponse>()
  readonly #isTls: boolean
  /** Consulted before the store; tests put faults here. */
  intercept: Intercept = () => false

  private constructor(tls?: { readonly cert: string; readonly key: string; readonly ca?: string }) {
    this.#isTls = tls !== undefined
    const handler = (request: Http2ServerRequest, response: Http2ServerResponse): void =>
      void this.#serve(request, response)
    this.#server = tls
      ? createSecureServer({ ...tls, requestCert: tls.ca !== undefined, rejectUnauthorized: true }, handler)
      : createServer(handler)
    this.#server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined)
    })
    for (const name of ['default', 'kube-system']) this.add({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }

  /** Starts on a free port of the loopback, with TLS if given a certificate. */
  static async start(tls?: {
    readonly cert: string
    readonly key: string
    readonly ca?: string
  }): Promise<FakeApiServer> {
    const fake = new FakeApiServer(tls)
    await fake.listen(0)
    return fake
  }

  /** Listens (again) on `port`: what a restarted API server does. */
  async listen(port: number): Promise<void> {
    this.#server.listen(port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port
  }

  get url(): string {
    return `${this.#isTls ? 'https' : 'http'}://127.0.0.1:${this.port}`
  }

  get connections(): number {
    return this.#sockets.size
  }

  get openWatches(): number {
    return this.#watches.size
  }

  /** Stores an object as if a client had created or updated it. */
  add(object: KubeObject): KubeObject {
    return this.store.put(this.#resourceOf(object), object)
  }

  /** Removes an object as if a client had deleted it. */
  remove(object: KubeObject): void {
    this.store.remove(this.#resourceOf(object), object.metadata.namespace, object.metadata.name)
  }

  /** The object as stored now. */
  find(ref: ResourceRef, name: string): KubeObject | undefined {
    const resource = this.#lookUp(ref.group, ref.version, ref.resource)
    return resource && this.store.find(resource, ref.namespace, name)
  }

  /** Cuts every connection without a goodbye. */
  dropConnections(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  /** Sends raw text on every open watch. */
  sendRaw(text: string): void {
    for (const response of this.#watches) response.write(text)
  }

  /** The answers of the open watches. */
  watchResponses(): readonly Http2ServerResponse[] {
    return [...this.#watches]
  }

  /** Ends every open watch the regular way, after some last text if given. */
  endWatches(text = ''): void {
    for (const response of this.#watches) response.end(text)
  }

  /** Stops listening and cuts what is open. */
  async stop(): Promise<void> {
    this.dropConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #serve(incoming: Http2ServerRequest, response: Http2ServerResponse): Promise<void> {
    response.on('error', () => undefined)
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const url = new URL(incoming.url, 'http://fake')
    const request: SeenRequest = {
      method: incoming.method,
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body: text === '' ? undefined : JSON.parse(text),
    }
    this.requests.push(request)
    if (await this.intercept(request, response)) return
    if (url.pathname === '/api' || url.pathname === '/apis')
      reply(response, 200, this.#discovery(url.pathname === '/api'))
    else this.#resource(request, response)
  }

  #resource(request: SeenRequest, response: Http2ServerResponse): void {
    const target = this.#parsePath(request.path)
    if (target === undefined) {
      fail(response, 404, 'NotFound', 'the server could not find the requested resource')
      return
    }
    const { resource, namespace, name } = target
    if (name === undefined) {
      if (request.method === 'POST') {
        this.#create(response, target, request.body as KubeObject)
        return
      }
      if (request.query.get('watch') === 'true') {
        this.#watch(request, response, target)
        return
      }
      const items = this.store.list(resource, namespace).filter(selected(request.query))
      const metadata = { resourceVersion: String(this.store.revision) }
      reply(response, 200, { apiVersion: 'v1', kind: `${resource.kind}List`, metadata, items })
      return
    }
    const present = this.store.find(resource, namespace, name)
    const isApply = request.headers['content-type'] === 'application/apply-patch+yaml'
    if (present === undefined && isApply) {
      this.#create(response, target, request.body as KubeObject)
      return
    }
    if (present === undefined) {
      fail(response, 404, 'NotFound', `${resource.resource} "${name}" not found`)
      return
    }
    this.#change(request, response, target, present)
  }

  #change(
    request: SeenRequest,
    response: Http2ServerResponse,
    { resource, namespace, name = '' }: Target,
    present: KubeObject,
  ): void {
    const body = request.body as KubeObject | undefined
    switch (request.method) {
      case 'GET': {
        reply(response, 200, present)
        return
      }
      case 'DELETE': {
        const expected = (request.body as DeleteOptions | undefined)?.preconditions?.resourceVersion
        if (expected !== undefined && expected !== present.metadata.resourceVersion) {
          fail(response, 409, 'Conflict', `${resource.resource} "${name}": the object has been modified`)
          return
        }
        this.store.remove(resource, namespace, name)
        reply(response, 200, { kind: 'Status', status: 'Success' })
        return
      }
      case 'PUT': {
        const expected = body?.metadata.resourceVersion
        if (expected !== undefined && expected !== present.metadata.resourceVersion) {
          fail(response, 409, 'Conflict', `${resource.resource} "${name}": the object has been modified`)
          return
        }
        reply(response, 200, this.store.put(resource, body as KubeObject))
        return
      }
      case 'PATCH': {
        reply(response, 200, this.store.put(resource, mergePatch(present, body) as KubeObject))
        return
      }
      default: {
        fail(response, 405, 'MethodNotAllowed', 'method not allowed')
        return
      }
    }
  }

  #create(response: Http2ServerResponse, { resource, namespace }: Target, body: KubeObject): void {
    if (
      namespace !== undefined &&
      this.find({ group: '', version: 'v1', resource: 'namespaces' }, namespace) === undefined
    ) {
      fail(response, 404, 'NotFound', `namespaces "${namespace}" not found`)
      return
    }
    if (this.store.find(resource, namespace, body.metadata.name)) {
      fail(response, 409, 'AlreadyExists', `${resource.resource} "${body.metadata.name}" already exists`)
      return
    }
    const metadata = namespace === undefined ? body.metadata : { ...body.metadata, namespace }
    reply(response, 201, this.store.put(resource, { ...body, metadata }))
  }

  #watch({ query }: SeenRequest, response: Http2ServerResponse, { resource, namespace }: Target): void {
    const from = Number(query.get('resourceVersion') ?? this.store.revision)
    const past = this.store.since(from)
    if (past === undefined) {
      fail(response, 410, 'Expired', `too old resource version: ${from}`)
      return
    }
    response.stream.respond({ ':status': 200, 'content-type': 'application/json' })
    const isSelected = selected(query)
    const send = (stored: StoredEvent): void => {
      const { object } = stored.event
      if (stored.resource.resource !== resource.resource || stored.resource.group !== resource.group) return
      if (namespace !== undefined && object.metadata.namespace !== namespace) return
      if (isSelected(object)) response.write(`${JSON.stringify(stored.event)}\n`)
    }
    past.forEach(send)
    const unsubscribe = this.store.subscribe(send)
    this.#watches.add(response)
    response.on('close', () => {
      unsubscribe()
      this.#watches.delete(response)
    })
  }

  #discovery(isCore: boolean): unknown {
    const groups = Map.groupBy(
      this.store.resources.filter(({ group }) => (group === '') === isCore),
      ({ group }) => group,
    )
    const items = [...groups].map(([name, list]) => ({
      metadata: { name },
      versions: [...Map.groupBy(list, ({ version }) => version)].map(([version, kinds]) => ({
        version,
        freshness: 'Current',
        resources: kinds.map(({ resource, kind, namespaced }) => ({
          resource,
          responseKind: { kind },
          scope: namespaced ? 'Namespaced' : 'Cluster',
          verbs: ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'],
        })),
      })),
    }))
    return { kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2', items }
  }

  #resourceOf({ apiVersion, kind }: KubeObject): FakeResource {
    const [version = '', group = ''] = apiVersion.split('/').reverse()
    const found = this.store.resources.find((r) => r.group === group && r.version === version && r.kind === kind)
    if (found === undefined) throw new Error(`the fake serves no ${apiVersion} ${kind}`)
    return found
  }

  #lookUp(group: string, version: string, resource: string): FakeResource | undefined {
    return this.store.resources.find((r) => r.group === group && r.version === version && r.resource === resource)
  }

  #parsePath(path: string): Target | undefined {
    const parts = path
      .split('/')
      .filter((part) => part !== '')
      .map(decodeURIComponent)
    const [group, version = ''] = parts[0] === 'api' ? ['', parts[1]] : [parts[1], parts[2]]
    let rest = parts.slice(parts[0] === 'api' ? 2 : 3)
    let namespace: string | undefined
    if (rest[0] === 'namespaces' && rest.length > 2) [namespace, rest] = [rest[1], rest.slice(2)]
    const resource = this.#lookUp(group ?? '', version, rest[0] ?? '')
    return resource && { resource, namespace, name: rest[1] }
  }
}

interface DeleteOptions {
  readonly preconditions?: { readonly resourceVersion?: string }
}

interface Target {
  readonly resource: FakeResource
  readonly namespace: string | undefined
  readonly name: string | undefined
}

/** Understands `key`, `key=value` lists of labels, and `metadata.name=` field selectors. */
function selected(query: URLSearchParams): (object: KubeObject) => boolean {
  const labels = (query.get('labelSelector') ?? '').split(',').filter((term) => term !== '')
  const name = /^metadata\.name=(.*)$/.exec(query.get('fieldSelector') ?? '')?.[1]
  return ({ metadata }) =>
    (name === undefined || metadata.name === name) &&
    labels.every((term) => {
      const [key = '', value] = term.split('=')
      const actual = metadata.labels?.[key]
      return value === undefined ? actual !== undefined : actual === value
    })
}

/** Sends JSON. */
export function reply(response: Http2ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** Sends a metav1.Status failure. */
export function fail(response: Http2ServerResponse, code: number, reason: string, message: string): void {
  reply(response, code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message })
}
