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

const KEYS = ['a', 'b', 'c', 'd', 'e/1', 'e/2', 'e/3', 'f\0', 'f', 'f\xff']
const LEASES = [11, 12, 13]
const END = Buffer.from([0])

/** Requests of every kind over a few keys, with valid, absurd and just-off parameters. The same seed, the same requests. */
export class RandomRequests {
  #state: number
  #position: Position = { revision: 1, compactRevision: 0 }

  constructor(seed: number) {
    this.#state = seed
  }

  next(position: Position): RandomCall {
    this.#position = position
    const { revision, compactRevision } = position
    const dice = this.#below(40)
    if (dice < 10) return { method: 'KV/Put', request: this.#put() }
    if (dice < 14) return { method: 'KV/DeleteRange', request: this.#delete() }
    if (dice < 24) return { method: 'KV/Range', request: this.#range() }
    if (dice < 36) return { method: 'KV/Txn', request: this.#txn(0) }
    if (dice < 37) {
      const at = this.#pick([revision, revision - 3, revision - 10, revision + 1, compactRevision])
      return { method: 'KV/Compact', request: { revision: at, physical: true } }
    }
    const lease = { ID: this.#pick(LEASES) }
    if (dice < 38) return { method: 'Lease/LeaseGrant', request: { ...lease, TTL: 1000 } }
    if (dice < 39 && this.#below(3) === 0) return { method: 'Lease/LeaseRevoke', request: lease }
    return { method: 'Lease/LeaseTimeToLive', request: { ...lease, keys: true } }
  }

  #below(limit: number): number {
    this.#state = (Math.imul(this.#state, 1_103_515_245) + 12_345) & 0x7fff_ffff
    return (this.#state >> 8) % limit
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)] as T
  }

  #oneIn(n: number): boolean {
    return this.#below(n) === 0
  }

  #upTo<T>(limit: number, make: () => T): T[] {
    return Array.from({ length: this.#below(limit) }, make)
  }

  #key(): Buffer {
    return Buffer.from(this.#pick(KEYS), 'latin1')
  }

  #keys(): object {
    const key = this.#key()
    return this.#pick([{ key }, { key }, { key, range_end: this.#key() }, { key, range_end: END }])
  }

  #value(): Buffer {
    return Buffer.from(`v${this.#below(5)}`)
  }

  #range(): object {
    const { revision, compactRevision } = this.#position
    const old = [revision, Math.max(1, revision - this.#below(20)), compactRevision, Math.max(0, compactRevision - 1)]
    return {
      ...this.#keys(),
      limit: this.#pick([0, 0, 1, 2, 3]),
      revision: this.#pick([0, 0, 0, 0, ...old, revision + 1, compactRevision + 1]),
      sort_order: this.#pick(['None', 'None', 'Ascend', 'Descend']),
      // Versions and values tie too often: the order of ties is not defined.
      sort_target: this.#pick(['Key', 'Key', 'Mod', 'Create']),
      keys_only: this.#oneIn(5),
      count_only: this.#oneIn(6),
      serializable: this.#oneIn(3),
      min_mod_revision: this.#oneIn(4) ? revision - 5 : 0,
      max_mod_revision: this.#oneIn(4) ? revision - 3 : 0,
      min_create_revision: this.#oneIn(5) ? revision - 8 : 0,
      max_create_revision: this.#oneIn(5) ? revision - 2 : 0,
    }
  }

  #put(): object {
    const [keepValue, keepLease] = [this.#oneIn(12), this.#oneIn(12)]
    return {
      key: this.#key(),
      value: keepValue && !this.#oneIn(5) ? Buffer.alloc(0) : this.#value(),
      lease: keepLease && !this.#oneIn(5) ? 0 : this.#pick([0, 0, 0, ...LEASES]),
      prev_kv: this.#oneIn(2),
      ignore_value: keepValue,
      ignore_lease: keepLease,
    }
  }

  #delete(): object {
    return { ...this.#keys(), prev_kv: this.#oneIn(2) }
  }

  #compare(): object {
    const result = this.#pick(['Equal', 'NotEqual', 'Greater', 'Less'])
    const revision = Math.max(0, this.#position.revision - this.#below(6))
    const operand = this.#pick<object>([
      { target: 'Version', version: this.#below(4) },
      { target: 'Create', create_revision: revision },
      { target: 'Mod', mod_revision: revision },
      { target: 'Value', value: this.#value() },
      { target: 'Lease', lease: this.#pick([0, ...LEASES]) },
    ])
    return { ...this.#keys(), result, ...operand }
  }

  #txn(depth: number): object {
    return {
      compare: this.#upTo(3, () => this.#compare()),
      success: this.#upTo(4, () => this.#op(depth)),
      failure: this.#upTo(3, () => this.#op(depth)),
    }
  }

  #op(depth: number): object {
    const dice = this.#below(depth > 1 ? 3 : 4)
    if (dice === 0) return { request_range: this.#range() }
    if (dice === 1) return { request_put: this.#put() }
    if (dice === 2) return { request_delete_range: this.#delete() }
    return { request_txn: this.#txn(depth + 1) }
  }
}
