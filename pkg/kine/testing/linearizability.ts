/** One call of a client: `input` was asked at `calledAt`, `output` came back at `returnedAt`. */
export interface Operation<I, O> {
  readonly client: number
  readonly input: I
  /** Undefined if it is not known whether it happened: it may have at any time after the call, or never. */
  readonly output: O | undefined
  readonly calledAt: number
  readonly returnedAt: number
}

/** What one object may do, one call at a time. */
export interface Model<S, I, O> {
  readonly initial: S
  /** The state after the call, undefined if it cannot answer so in this state. */
  step(state: S, input: I, output: O | undefined): { readonly state: S } | undefined
  /** Equal for equal states. */
  identity(state: S): string
}

/** Outcome of a check. */
export type Verdict<I, O> =
  | { readonly linearizable: true }
  /** The longest prefix that could be explained, and the answers of which none can come next. */
  | {
      readonly linearizable: false
      readonly explained: readonly Operation<I, O>[]
      readonly stuck: readonly Operation<I, O>[]
    }

/**
 * Whether some order of the calls, each between its call and its return, explains every answer: the search of Wing and
 * Gong with the memory of Lowe (configurations that failed are not tried twice), as Porcupine does it. One history per
 * key: objects that do not depend on each other are linearizable each for itself.
 */
export function checkLinearizable<S, I, O>(history: readonly Operation<I, O>[], model: Model<S, I, O>): Verdict<I, O> {
  return new Search(history, model).run()
}

interface Step<S> {
  readonly operation: number
  readonly before: S
  /** Nothing else needs to be tried in its place. */
  readonly forced: boolean
}

interface Candidate<S> {
  readonly operation: number
  readonly state: S
  readonly forced: boolean
}

class Search<S, I, O> {
  readonly #model: Model<S, I, O>
  /** By call time; the search takes the first that fits. */
  readonly #operations: readonly Operation<I, O>[]
  readonly #done: Uint8Array
  readonly #failed = new Set<string>()
  readonly #path: Step<S>[] = []
  #state: S
  #longest: readonly number[] = []

  constructor(history: readonly Operation<I, O>[], model: Model<S, I, O>) {
    this.#model = model
    this.#operations = history.toSorted((a, b) => a.calledAt - b.calledAt)
    this.#done = new Uint8Array(history.length)
    this.#state = model.initial
  }

  run(): Verdict<I, O> {
    let from = 0
    for (;;) {
      const deadline = this.#earliestReturn()
      if (deadline === undefined) return { linearizable: true }
      const next = this.#next(from, deadline)
      if (next !== undefined) {
        this.#path.push({ operation: next.operation, before: this.#state, forced: next.forced })
        this.#done[next.operation] = 1
        this.#state = next.state
        from = 0
        if (this.#path.length > this.#longest.length) this.#longest = this.#path.map(({ operation }) => operation)
        continue
      }
      const last = this.#path.pop()
      if (last === undefined) return this.#failure()
      this.#done[last.operation] = 0
      this.#state = last.before
      from = last.forced ? this.#operations.length : last.operation + 1
    }
  }

  /** Everything that happened before this time must be explained first; undefined when nothing known is left. */
  #earliestReturn(): number | undefined {
    let earliest: number | undefined
    for (const [i, { output, returnedAt, calledAt }] of this.#operations.entries()) {
      if (earliest !== undefined && calledAt > earliest) break
      if (this.#done[i] === 1 || output === undefined) continue
      if (earliest === undefined || returnedAt < earliest) earliest = returnedAt
    }
    return earliest
  }

  /** The first call from `from` on that may come next and leads somewhere new. */
  #next(from: number, deadline: number): Candidate<S> | undefined {
    const candidates: Candidate<S>[] = []
    const before = this.#model.identity(this.#state)
    for (let i = from; i < this.#operations.length; i += 1) {
      const operation = this.#operations[i]
      if (operation === undefined || operation.calledAt > deadline) break
      if (this.#done[i] === 1) continue
      const stepped = this.#model.step(this.#state, operation.input, operation.output)
      if (stepped === undefined) continue
      const idle = this.#model.identity(stepped.state) === before
      // That a lost call changed nothing explains nothing: it need not have happened.
      if (idle && operation.output === undefined) continue
      // What fits and changes nothing may as well come now: whatever else comes next, it is out of the way.
      if (idle && from === 0) return { operation: i, state: stepped.state, forced: true }
      candidates.push({ operation: i, state: stepped.state, forced: false })
    }
    return candidates.find(({ operation, state }) => this.#isNew(operation, state))
  }

  #isNew(operation: number, state: S): boolean {
    this.#done[operation] = 1
    const configuration = `${Buffer.from(this.#done).toString('latin1')} ${this.#model.identity(state)}`
    this.#done[operation] = 0
    if (this.#failed.has(configuration)) return false
    this.#failed.add(configuration)
    return true
  }

  #failure(): Verdict<I, O> {
    const explained = new Set(this.#longest)
    const left = this.#operations.filter((_, i) => !explained.has(i))
    const deadline = Math.min(...left.flatMap(({ output, returnedAt }) => (output === undefined ? [] : [returnedAt])))
    return {
      linearizable: false,
      explained: this.#longest.flatMap((i) => this.#operations[i] ?? []),
      stuck: left.filter(({ calledAt }) => calledAt <= deadline),
    }
  }
}
