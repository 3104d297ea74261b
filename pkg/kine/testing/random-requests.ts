import { Random } from '#pkg/kine/testing/random.ts'

/** One call with its request. */
export interface RandomCall {
  readonly method: string
  readonly request: object
}

/** Where the stores are, as far as the next request may depend on it. */
export interface Position {
  readonly revision: number
  readonly compactRevision: number
}

/** WatchCreateRequest, as far as others decide by it. */
export interface WatchRequest {
  readonly start_revision: number
  readonly [field: string]: unknown
}

const KEYS = ['a', 'b', 'c', 'd', 'e/1', 'e/2', 'e/3', 'f\0', 'f', 'f\xff']
const LEASES = [11, 12, 13]
const END = Buffer.from([0])

/** Requests of every kind over a few keys, with valid, absurd and just-off parameters. The same seed, the same requests. */
export class RandomRequests {
  readonly #random: Random
  #position: Position = { revision: 1, compactRevision: 0 }

  constructor(seed: number) {
    this.#random = new Random(seed)
  }

  /** A unary call. */
  next(position: Position): RandomCall {
    this.#position = position
    const { revision, compactRevision } = position
    const dice = this.#random.below(42)
    if (dice < 10) return { method: 'KV/Put', request: this.#put() }
    if (dice < 14) return { method: 'KV/DeleteRange', request: this.#delete() }
    if (dice < 24) return { method: 'KV/Range', request: this.#range() }
    if (dice < 36) return { method: 'KV/Txn', request: this.#txn(0) }
    if (dice < 37) {
      const at = this.#random.pick([revision, revision - 3, revision - 10, revision + 1, compactRevision])
      return { method: 'KV/Compact', request: { revision: at, physical: true } }
    }
    return this.#other(dice)
  }

  /** A WatchCreateRequest with an id of the server's choice. */
  watch({ revision, compactRevision }: Position): WatchRequest {
    const random = this.#random
    const start = random.pick([0, 0, revision + 1, revision + 3, revision - random.below(15), compactRevision, 1])
    return {
      ...random.pick([this.#keys(), this.#keys(), { key: END, range_end: END }, { key: Buffer.alloc(0) }]),
      start_revision: random.oneIn(20) ? -1 : Math.max(0, start),
      prev_kv: random.oneIn(2),
      fragment: random.oneIn(3),
      progress_notify: random.oneIn(6),
      filters: random.pick([[], [], [], ['Noput'], ['Nodelete'], ['Noput', 'Nodelete']]),
    }
  }

  #other(dice: number): RandomCall {
    const { revision } = this.#position
    const random = this.#random
    const lease = { ID: random.pick(LEASES) }
    if (dice < 38) return { method: 'Lease/LeaseGrant', request: { ...lease, TTL: 1000 } }
    if (dice < 39 && random.oneIn(3)) return { method: 'Lease/LeaseRevoke', request: lease }
    if (dice < 40) return { method: 'Lease/LeaseTimeToLive', request: { ...lease, keys: true } }
    if (dice < 41 && random.oneIn(2)) return { method: 'Lease/LeaseLeases', request: {} }
    if (dice < 41) return { method: 'Lease/LeaseKeepAlive', request: lease }
    // Not below the compact revision: etcd remembers some of the hashes there.
    return { method: 'Maintenance/HashKV', request: { revision: random.pick([0, revision, revision + 1]) } }
  }

  #key(): Buffer {
    return Buffer.from(this.#random.pick(KEYS), 'latin1')
  }

  #keys(): object {
    const key = this.#key()
    return this.#random.pick([{ key }, { key }, { key, range_end: this.#key() }, { key, range_end: END }])
  }

  #value(): Buffer {
    return Buffer.from(`v${this.#random.below(5)}`)
  }

  #range(): object {
    const { revision, compactRevision } = this.#position
    const random = this.#random
    const old = [revision, Math.max(1, revision - random.below(20)), compactRevision, Math.max(0, compactRevision - 1)]
    return {
      ...this.#keys(),
      limit: random.pick([0, 0, 1, 2, 3]),
      revision: random.pick([0, 0, 0, 0, ...old, revision + 1, compactRevision + 1]),
      sort_order: random.pick(['None', 'None', 'Ascend', 'Descend']),
      // Versions and values tie too often: the order of ties is not defined.
      sort_target: random.pick(['Key', 'Key', 'Mod', 'Create']),
      keys_only: random.oneIn(5),
      count_only: random.oneIn(6),
      serializable: random.oneIn(3),
      min_mod_revision: random.oneIn(4) ? revision - 5 : 0,
      max_mod_revision: random.oneIn(4) ? revision - 3 : 0,
      min_create_revision: random.oneIn(5) ? revision - 8 : 0,
      max_create_revision: random.oneIn(5) ? revision - 2 : 0,
    }
  }

  #put(): object {
    const random = this.#random
    const [keepValue, keepLease] = [random.oneIn(12), random.oneIn(12)]
    return {
      key: this.#key(),
      value: keepValue && !random.oneIn(5) ? Buffer.alloc(0) : this.#value(),
      lease: keepLease && !random.oneIn(5) ? 0 : random.pick([0, 0, 0, ...LEASES]),
      prev_kv: random.oneIn(2),
      ignore_value: keepValue,
      ignore_lease: keepLease,
    }
  }

  #delete(): object {
    return { ...this.#keys(), prev_kv: this.#random.oneIn(2) }
  }

  #compare(): object {
    const random = this.#random
    const result = random.pick(['Equal', 'NotEqual', 'Greater', 'Less'])
    const revision = Math.max(0, this.#position.revision - random.below(6))
    const operand = random.pick<object>([
      { target: 'Version', version: random.below(4) },
      { target: 'Create', create_revision: revision },
      { target: 'Mod', mod_revision: revision },
      { target: 'Value', value: this.#value() },
      { target: 'Lease', lease: random.pick([0, ...LEASES]) },
    ])
    return { ...this.#keys(), result, ...operand }
  }

  #txn(depth: number): object {
    const random = this.#random
    return {
      compare: random.fewerThan(3, () => this.#compare()),
      success: random.fewerThan(4, () => this.#op(depth)),
      failure: random.fewerThan(3, () => this.#op(depth)),
    }
  }

  #op(depth: number): object {
    const dice = this.#random.below(depth > 1 ? 3 : 4)
    if (dice === 0) return { request_range: this.#range() }
    if (dice === 1) return { request_put: this.#put() }
    if (dice === 2) return { request_delete_range: this.#delete() }
    return { request_txn: this.#txn(depth + 1) }
  }
}
