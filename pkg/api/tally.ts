/** Counts by name, of so many names at most. */
export class Tally {
  readonly #distinct: number
  readonly #counts = new Map<string, number>()
  #total = 0

  /** @param distinct names that are told apart; what is counted of others is in the total only */
  constructor(distinct: number) {
    this.#distinct = distinct
  }

  /** All that was counted since the last take(). */
  get total(): number {
    return this.#total
  }

  add(name: string): void {
    this.#total += 1
    const count = this.#counts.get(name)
    if (count !== undefined || this.#counts.size < this.#distinct) this.#counts.set(name, (count ?? 0) + 1)
  }

  /** `a: 12; b: 3; others: 2`, the `named` most frequent ones first; begins anew. */
  take(named: number): string {
    const most = [...this.#counts].sort(([, a], [, b]) => b - a).slice(0, named)
    const others = this.#total - most.reduce((sum, [, count]) => sum + count, 0)
    this.#counts.clear()
    this.#total = 0
    const shown = others > 0 ? [...most, ['others', others] as const] : most
    return shown.map(([name, count]) => `${name}: ${String(count)}`).join('; ')
  }
}
