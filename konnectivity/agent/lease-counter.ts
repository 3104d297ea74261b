/** Valid leases, by name, from whoever follows them. */
export interface FollowedLease {
  /** renewTime, or acquireTime where it was never renewed. */
  readonly renewedAt: Date | undefined
  readonly durationSeconds: number
}

/** Counts servers by their leases: upstream's --count-server-leases. */
export class LeaseCounter {
  #leases: readonly FollowedLease[] | undefined
  #last: number | undefined
  readonly #onChange: () => void

  constructor(deps: { readonly onChange: () => void }) {
    this.#onChange = deps.onChange
  }

  /** The leases as they are now. */
  update(leases: readonly FollowedLease[]): void {
    this.#leases = leases
    const count = this.count()
    if (count === this.#last) return
    this.#last = count
    this.#onChange()
  }

  /** Leases that are valid now, at least 1; undefined before the first list. */
  count(): number | undefined {
    if (this.#leases === undefined) return undefined
    const now = Date.now()
    const valid = this.#leases.filter(
      ({ renewedAt, durationSeconds }) =>
        renewedAt !== undefined && renewedAt.getTime() + durationSeconds * 1_000 > now,
    )
    return Math.max(valid.length, 1)
  }
}
