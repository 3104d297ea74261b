import type { Backend, LeaseId, LeaseRecord } from '#pkg/kine/backend.ts'
import type { Call } from '#pkg/kine/server/call.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import type { StreamHandler } from '#pkg/kine/server/stream-handler.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** Messages of one stream that wait for their renewal. Then the client has to wait, as with etcd, which takes one. */
const MAX_WAITING = 128

/** Lease.LeaseKeepAlive: one answer for each message, in order; TTL 0 if there is no such lease. */
export function leaseKeepAlive(store: Backend, call: Call, readOn: () => void): StreamHandler {
  return new LeaseKeepAlive(store, call, readOn)
}

/**
 * The renewals of one stream. What arrives while renewals are committed goes together into the next ones, of which there
 * is one for each lease, however often its client has asked.
 */
class LeaseKeepAlive implements StreamHandler {
  readonly #store: Backend
  readonly #call: Call
  readonly #readOn: () => void
  #waiting: LeaseId[] = []
  #renewing = false
  #ended = false

  constructor(store: Backend, call: Call, readOn: () => void) {
    this.#store = store
    this.#call = call
    this.#readOn = readOn
  }

  get ready(): boolean {
    return this.#waiting.length < MAX_WAITING && this.#call.writable
  }

  onMessage(message: Buffer): void {
    this.#waiting.push(leaseIdOf(message))
    if (!this.#renewing) void this.#renewAll()
  }

  onEnd(): void {
    this.#ended = true
    if (!this.#renewing) this.#call.finish()
  }

  onClose(): void {
    this.#waiting = []
  }

  async #renewAll(): Promise<void> {
    this.#renewing = true
    try {
      // What has arrived with the first message goes along.
      await Promise.resolve()
      while (this.#waiting.length > 0) {
        const ids = this.#waiting
        this.#waiting = []
        const leases = await this.#renew(new Set(ids))
        for (const id of ids) this.#answer(id, leases.get(id))
        this.#readOn()
      }
      if (this.#ended) this.#call.finish()
    } catch (error) {
      this.#call.finish(error)
    } finally {
      this.#renewing = false
    }
  }

  /** @throws StoreError */
  async #renew(ids: ReadonlySet<LeaseId>): Promise<ReadonlyMap<LeaseId, LeaseRecord | undefined>> {
    return new Map(
      await Promise.all(Array.from(ids, async (id) => [id, await this.#store.leaseKeepAlive(id)] as const)),
    )
  }

  #answer(id: LeaseId, lease: LeaseRecord | undefined): void {
    const header = encodeHeader(this.#store, this.#store.revision)
    this.#call.send(
      new WireWriter()
        .message(1, header)
        .int(2, id)
        .int(3, lease?.ttlSeconds ?? 0)
        .finish(),
    )
  }
}

/** LeaseKeepAliveRequest */
function leaseIdOf(message: Buffer): LeaseId {
  const reader = new WireReader(message)
  let id: LeaseId = 0
  while (reader.next()) {
    if (reader.field === 1) id = reader.int64()
    else reader.skip()
  }
  return id
}
