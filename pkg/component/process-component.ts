import type { Component, StartContext } from '#pkg/component/component.ts'
import { processReady } from '#pkg/supervisor/ready.ts'
import type { ProcessSpec, SupervisedProcess, Supervise } from '#pkg/supervisor/process.ts'

/** What differs between the supervised programs of a node. */
export interface ProcessRecipe<Name extends string = string> {
  readonly name: Name
  readonly after: readonly string[]
  /** False: nothing runs, and the component counts as ready. Asked at start, when the worker configuration is known. */
  readonly wanted?: () => boolean
  /** Writes what the program reads, stages its executable and says how to run it. Called at every start. */
  prepare(context: StartContext): Promise<ProcessSpec>
  /** Rejects with the reason why the program cannot serve yet. */
  probe(signal: AbortSignal): Promise<void>
  /** What runs beside the process and ends with it. Called after the start; the result is called by stop. */
  beside?(process: SupervisedProcess, context: StartContext): () => void
}

/** A component that is one supervised program. */
export class ProcessComponent<Name extends string = string> implements Component {
  readonly name: Name
  readonly after: readonly string[]
  readonly #recipe: ProcessRecipe<Name>
  readonly #supervise: Supervise
  #process: SupervisedProcess | undefined
  #wanted = true
  #endBeside: (() => void) | undefined

  constructor(recipe: ProcessRecipe<Name>, deps: { readonly supervise: Supervise }) {
    this.name = recipe.name
    this.after = recipe.after
    this.#recipe = recipe
    this.#supervise = deps.supervise
  }

  /** How often the program was started again since it was first started. */
  get restarts(): number {
    return this.#process?.restarts ?? 0
  }

  async start(context: StartContext): Promise<void> {
    this.#wanted = this.#recipe.wanted?.() ?? true
    if (!this.#wanted) return
    const spec = await this.#recipe.prepare(context)
    context.signal.throwIfAborted()
    this.#process = this.#supervise(spec, { log: context.log })
    await this.#process.start()
    this.#endBeside = this.#recipe.beside?.(this.#process, context)
  }

  /** Starts the program anew beside the one that runs, which ends when the new one took over. No effect before start. */
  async replace(): Promise<void> {
    await this.#process?.replace()
  }

  async ready(signal: AbortSignal): Promise<void> {
    if (!this.#wanted) return
    await processReady(this.#process, async () => await this.#recipe.probe(signal))
  }

  async stop(): Promise<void> {
    this.#endBeside?.()
    this.#endBeside = undefined
    await this.#process?.stop()
    this.#process = undefined
  }
}
