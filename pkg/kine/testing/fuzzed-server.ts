import type { ServiceError } from '@grpc/grpc-js'
import { comparable } from '#pkg/kine/testing/comparable.ts'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'
import type { RandomCall } from '#pkg/kine/testing/random-requests.ts'

const EVERYTHING = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
const PROGRESS_RETRY_MS = 100
const PROGRESS_PATIENCE_MS = 10_000

/** One of two servers that get the same requests; everything it answers is in a form that can be compared. */
export class FuzzedServer {
  readonly #etcd: EtcdClient
  readonly #streams: RecordedStream[] = []

  constructor(etcd: EtcdClient) {
    this.#etcd = etcd
  }

  /** Response or status of a call. */
  async call({ method, request }: RandomCall): Promise<unknown> {
    try {
      const response = await (method === 'Lease/LeaseKeepAlive'
        ? this.#renew(request)
        : this.#etcd.call(method, request))
      return settled(method, comparable(response) as Record<string, unknown>)
    } catch (error) {
      const { code, details } = error as ServiceError
      return { code, details }
    }
  }

  /** A stream of watches. Its first one wants everything, so that the stream always tells progress. */
  async openStream(): Promise<void> {
    const stream = new RecordedStream(this.#etcd.stream('Watch/Watch'))
    await stream.ask({ create_request: { ...EVERYTHING, prev_kv: true } })
    this.#streams.push(stream)
  }

  /** Sends a create or a cancel to a stream, and gives the answer to it. */
  watch(stream: number, request: object): Promise<unknown> {
    return this.#streams[stream]?.ask(request) ?? Promise.reject(new Error(`no stream ${stream}`))
  }

  /**
   * Creates a watch on history that is gone: the answer, and the cancellation that follows. On a stream of its own: in
   * etcd a stream with such a watch tells no progress any more.
   */
  async watchCompacted(request: object): Promise<unknown> {
    const stream = this.#etcd.stream('Watch/Watch')
    stream.write(request)
    const created = await stream.next()
    if (created.canceled) return comparable(created)
    const { watch_id: id, canceled, compact_revision: compacted, events } = await stream.next()
    stream.cancel()
    // Not the header of the cancellation: etcd leaves its revision out.
    return comparable([created, { id, canceled, compacted, events }])
  }

  /** What each watch of each stream has told once the stream has told everything up to `revision`. */
  toldUpTo(revision: number): Promise<readonly ReadonlyMap<number, readonly unknown[]>[]> {
    return Promise.all(this.#streams.map((stream) => stream.toldUpTo(revision)))
  }

  async #renew(request: object): Promise<Message> {
    const stream = this.#etcd.stream('Lease/LeaseKeepAlive')
    stream.write(request)
    const answer = await stream.next()
    stream.end()
    return answer
  }
}

/** Separates answers to requests, which come in order, from what watches tell, which is in order for each of them. */
class RecordedStream {
  readonly #stream: TestStream
  readonly #told = new Map<number, unknown[]>()

  constructor(stream: TestStream) {
    this.#stream = stream
  }

  async ask(request: object): Promise<unknown> {
    this.#stream.write(request)
    for (;;) {
      const message = await this.#stream.next()
      // A watch that is behind the compaction is canceled on its own account, at some time after its creation.
      const isAnswer = message.created || (message.canceled && message.compact_revision === 0)
      if (isAnswer) return comparable(message)
      this.#take(message)
    }
  }

  async toldUpTo(revision: number): Promise<ReadonlyMap<number, readonly unknown[]>> {
    const ask = (): void => this.#stream.write({ progress_request: {} })
    const asking = setInterval(ask, PROGRESS_RETRY_MS)
    try {
      ask()
      for (const startedAt = performance.now(); ;) {
        if (performance.now() - startedAt > PROGRESS_PATIENCE_MS) throw new Error(`no progress up to ${revision}`)
        const message = await this.#stream.next()
        if (message.watch_id === -1 && message.header.revision >= revision) return this.#told
        this.#take(message)
      }
    } finally {
      clearInterval(asking)
    }
  }

  #take({ watch_id: id, canceled, compact_revision: compacted, events }: Message): void {
    const told = [...(comparable(events) as unknown[]), ...(canceled ? [{ compacted }] : [])]
    if (told.length === 0) return
    const before = this.#told.get(id)
    if (before === undefined) this.#told.set(id, told)
    else before.push(...told)
  }
}

/** Without what depends on the clock, has no order, or comes from a cache of etcd. */
function settled(method: string, response: Record<string, unknown>): unknown {
  switch (method) {
    case 'Lease/LeaseTimeToLive':
      return { ...response, TTL: undefined, keys: (response['keys'] as string[]).toSorted() }
    case 'Lease/LeaseLeases':
      return { ...response, leases: (response['leases'] as { ID: number }[]).map(({ ID: id }) => id).sort() }
    case 'Maintenance/HashKV':
      return { ...response, compact_revision: undefined }
    default:
      return response
  }
}
