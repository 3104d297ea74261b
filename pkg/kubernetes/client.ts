import { withDeadline } from '#pkg/lifecycle/deadline.ts'
import { isNotFound, KubeApiError, KubeConnectionError } from '#pkg/kubernetes/errors.ts'
import { Transport, type OpenResponse, type TlsCredentials, type TransportRequest } from '#pkg/kubernetes/transport.ts'
import {
  resourcePath,
  type KubeList,
  type KubeObject,
  type ResourceRef,
  type WatchEvent,
} from '#pkg/kubernetes/types.ts'
import { decodeWatch } from '#pkg/kubernetes/watch.ts'

/** How to reach and convince an API server. */
export interface KubeClientOptions extends TlsCredentials {
  /** `https://host:port`. */
  readonly server: string
  /** Bearer token, instead of a client certificate. */
  readonly token?: string | undefined
  /** Asked for the token at each request, in its place: `tokenFile`. */
  readonly readToken?: (() => Promise<string>) | undefined
  /** Deadline of every request but watches, milliseconds. Default 30 000. */
  readonly requestTimeoutMs?: number | undefined
  /** `User-Agent`; shows in audit logs. Default `k0s`. */
  readonly userAgent?: string | undefined
}

/** Ends a request early. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
}

/** Which objects, and how much of each. */
export interface SelectOptions extends CallOptions {
  readonly labelSelector?: string | undefined
  readonly fieldSelector?: string | undefined
  /** Fetch only apiVersion, kind and metadata (PartialObjectMetadata). */
  readonly metadataOnly?: boolean | undefined
}

/** Options of a list. */
export interface ListOptions extends SelectOptions {
  /** `0`: whatever the API server's cache has. Default: the newest state. */
  readonly resourceVersion?: string | undefined
}

/** Options of a watch. */
export interface WatchOptions extends SelectOptions {
  /** Events after this version. Left out: the present state as ADDED events, then changes. */
  readonly resourceVersion?: string | undefined
  /** The server ends the watch after this. Default 5 to 10 minutes, random, so that watches do not end together. */
  readonly timeoutSeconds?: number | undefined
}

/** Options of a write. */
export interface WriteOptions extends CallOptions {
  /** For example `status` or `approval`. */
  readonly subresource?: string | undefined
  readonly fieldManager?: string | undefined
}

/** Options of a server-side apply. */
export interface ApplyOptions extends WriteOptions {
  readonly fieldManager: string
  /** Take fields over from other managers. Default true: what k0s applies, k0s owns. */
  readonly force?: boolean | undefined
}

/** Options of a delete. */
export interface DeleteOptions extends CallOptions {
  /** Default `Background`. */
  readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan' | undefined
  /** Delete only this very object, not a namesake made later. */
  readonly uid?: string | undefined
  /** Delete only this very state of it; `isConflict` when it has changed. */
  readonly resourceVersion?: string | undefined
}

/** Body of `request`. */
export interface RequestOptions extends CallOptions {
  readonly query?: Readonly<Record<string, string | undefined>> | undefined
  readonly body?: unknown
  /** Default `application/json`. */
  readonly contentType?: string | undefined
  readonly accept?: string | undefined
}

const patchTypes = {
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  json: 'application/json-patch+json',
} as const

/** Metadata-only forms of an object and of a list (meta.k8s.io/v1). */
const METADATA_ACCEPT = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1'
const METADATA_WATCH_ACCEPT = 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1'
/** Objects a page of a list; client-go's pager uses the same. */
const PAGE_SIZE = 500

/**
 * A thin Kubernetes client: JSON over one HTTP/2 connection, a watch as an async iterable. Holds the connection only; safe to
 * share. Failed answers are KubeApiError, missing ones KubeConnectionError, an aborted `signal` throws its reason.
 */
export class KubeClient {
  readonly #transport: Transport
  readonly #headers: Readonly<Record<string, string>>
  readonly #requestTimeoutMs: number
  readonly #readToken: KubeClientOptions['readToken']
  /** The API server this client talks to. */
  readonly server: string

  constructor(options: KubeClientOptions) {
    const { server, token, readToken, requestTimeoutMs = 30_000, userAgent = 'k0s', ...tls } = options
    this.server = server
    this.#transport = new Transport(server, tls)
    this.#requestTimeoutMs = requestTimeoutMs
    this.#readToken = readToken
    this.#headers = { 'user-agent': userAgent, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  }

  async get<T extends KubeObject = KubeObject>(ref: ResourceRef, name: string, options: CallOptions = {}): Promise<T> {
    return this.request<T>('GET', resourcePath(ref, name), options)
  }

  /** As get, for an object that may not be there: undefined then. */
  async find<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    name: string,
    options: CallOptions = {},
  ): Promise<T | undefined> {
    return this.get<T>(ref, name, options).catch((thrown: unknown) => {
      if (isNotFound(thrown)) return undefined
      throw thrown
    })
  }

  /** The whole list; fetched in pages so that neither side holds a huge answer. */
  async list<T extends KubeObject = KubeObject>(ref: ResourceRef, options: ListOptions = {}): Promise<KubeList<T>> {
    const { labelSelector, fieldSelector, resourceVersion, metadataOnly = false, signal } = options
    const items: T[] = []
    for (let token: string | undefined; ;) {
      const page = await this.request<RawList<T>>('GET', resourcePath(ref), {
        query: {
          labelSelector,
          fieldSelector,
          resourceVersion: token === undefined ? resourceVersion : undefined,
          limit: resourceVersion === '0' ? undefined : String(PAGE_SIZE),
          continue: token,
        },
        ...(metadataOnly ? { accept: METADATA_ACCEPT } : {}),
        signal,
      })
      const { apiVersion, kind, metadata } = page
      const kindOfItems = { apiVersion, kind: kind.replace(/List$/, '') }
      for (const item of page.items ?? []) items.push(Object.assign({}, kindOfItems, item))
      token = metadata.continue
      if (token === undefined || token === '') return { metadata: { resourceVersion: metadata.resourceVersion }, items }
    }
  }

  async create<T extends KubeObject>(ref: ResourceRef, body: T, options: WriteOptions = {}): Promise<T> {
    const { signal, fieldManager, subresource } = options
    const path = resourcePath(ref, subresource === undefined ? undefined : body.metadata.name, subresource)
    return this.request<T>('POST', path, { body, query: { fieldManager }, signal })
  }

  /** Replaces the object; with `metadata.resourceVersion` set, only if it did not change since (else isConflict). */
  async replace<T extends KubeObject>(ref: ResourceRef, name: string, body: T, options: WriteOptions = {}): Promise<T> {
    const { signal, fieldManager, subresource } = options
    return this.request<T>('PUT', resourcePath(ref, name, subresource), { body, query: { fieldManager }, signal })
  }

  async patch<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    name: string,
    patch: unknown,
    options: WriteOptions & { readonly type: keyof typeof patchTypes },
  ): Promise<T> {
    const { signal, fieldManager, subresource, type } = options
    const path = resourcePath(ref, name, subresource)
    return this.request<T>('PATCH', path, {
      body: patch,
      contentType: patchTypes[type],
      query: { fieldManager },
      signal,
    })
  }

  /** Server-side apply: creates or updates, owning exactly the fields given. */
  async apply<T extends KubeObject>(ref: ResourceRef, name: string, object: T, options: ApplyOptions): Promise<T> {
    const { signal, fieldManager, subresource, force = true } = options
    return this.request<T>('PATCH', resourcePath(ref, name, subresource), {
      body: object,
      contentType: APPLY_PATCH, // a JSON document is a YAML document
      query: { fieldManager, force: String(force) },
      signal,
    })
  }

  /** Deletes the object; `isNotFound` when it was not there. */
  async delete(ref: ResourceRef, name: string, options: DeleteOptions = {}): Promise<void> {
    const { propagationPolicy = 'Background', uid, resourceVersion, signal } = options
    const isConditional = uid !== undefined || resourceVersion !== undefined
    const body = { propagationPolicy, ...(isConditional ? { preconditions: { uid, resourceVersion } } : {}) }
    await this.request('DELETE', resourcePath(ref, name), { body, signal })
  }

  /**
   * Changes as they happen. Ends when the server ends the watch; leaving the loop drops the connection; events are read
   * no faster than the loop takes them.
   *
   * @throws KubeApiError (`isGone`: list again), KubeConnectionError when the connection is lost.
   */
  async *watch<T extends KubeObject = KubeObject>(
    ref: ResourceRef,
    options: WatchOptions = {},
  ): AsyncGenerator<WatchEvent<T>, void> {
    const { labelSelector, fieldSelector, resourceVersion, metadataOnly, signal } = options
    const timeoutSeconds = options.timeoutSeconds ?? Math.round(300 * (1 + Math.random()))
    const query = {
      watch: 'true',
      allowWatchBookmarks: 'true',
      timeoutSeconds: String(timeoutSeconds),
      labelSelector,
      fieldSelector,
      resourceVersion,
    }
    const accept = metadataOnly === true ? METADATA_WATCH_ACCEPT : 'application/json'
    const opened = await this.#open('GET', resourcePath(ref), { query, accept, signal })
    // A server that neither speaks nor closes: end the watch ourselves some time after it should have.
    const overdue = setTimeout(() => opened.close(), (timeoutSeconds + 30) * 1_000)
    try {
      await throwUnlessOk(opened, 'GET', resourcePath(ref))
      yield* decodeWatch<T>(opened.body)
    } finally {
      clearTimeout(overdue)
      opened.close()
    }
  }

  /** Any request; the answer's body, parsed if it is JSON (a string otherwise). */
  async request<T = unknown>(method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return withDeadline(options.signal, this.#requestTimeoutMs, async (signal) => {
      const opened = await this.#open(method, path, { ...options, signal })
      try {
        await throwUnlessOk(opened, method, path)
        return parseBody(await readBody(opened), opened.headers['content-type']) as T
      } finally {
        opened.close()
      }
    }).catch((thrown: unknown) => {
      // The deadline is ours: for the caller it is one more way of getting no answer.
      if (thrown instanceof Error && thrown.name === 'DeadlineError') {
        throw new KubeConnectionError(
          `no answer from the API server ${this.server} to ${method} ${path}: ${thrown.message}`,
        )
      }
      throw thrown
    })
  }

  /** Uses new TLS material for new connections, for a certificate that was renewed. */
  setCredentials(credentials: TlsCredentials): void {
    this.#transport.setCredentials(credentials)
  }

  /** Ends all connections; running requests and watches fail. */
  close(): void {
    this.#transport.close()
  }

  async #open(method: string, path: string, options: RequestOptions): Promise<OpenResponse> {
    const { query = {}, body, contentType = 'application/json', accept = 'application/json', signal } = options
    const search = new URLSearchParams(
      Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ''),
    )
    const authorization = this.#readToken && `Bearer ${await this.#readToken()}`
    const request: TransportRequest = {
      method,
      path: search.size === 0 ? path : `${path}?${search.toString()}`,
      headers: {
        ...this.#headers,
        accept,
        ...(authorization === undefined ? {} : { authorization }),
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      repeatable: method === 'GET' || contentType === APPLY_PATCH,
      signal,
    }
    return this.#transport.open(request)
  }
}

const APPLY_PATCH = 'application/apply-patch+yaml'

interface RawList<T> {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string }
  readonly items: readonly T[] | null
}

async function readBody({ body }: OpenResponse): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

function parseBody(text: string, contentType = ''): unknown {
  if (!contentType.startsWith('application/json')) return text
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new KubeConnectionError(`the API server sent malformed JSON (${text.length} bytes)`, { cause })
  }
}

async function throwUnlessOk(opened: OpenResponse, method: string, path: string): Promise<void> {
  const { status, headers } = opened
  if (status >= 200 && status < 300) return
  const text = await readBody(opened)
  const { reason, message } = statusOf(text)
  const retryAfter = Number(headers['retry-after'])
  throw new KubeApiError({
    status,
    reason,
    message: `${method} ${path}: ${status} ${reason === '' ? '' : `${reason}: `}${message}`,
    retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
  })
}

/** A failure's body is a metav1.Status, or plain text from a proxy or a starting server. */
function statusOf(text: string): { readonly reason: string; readonly message: string } {
  try {
    const { reason = '', message = '' } = JSON.parse(text) as { reason?: string; message?: string }
    return { reason, message: oneLine(message) }
  } catch {
    return { reason: '', message: oneLine(text) }
  }
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim().slice(0, 1_000)
}
