import { createHash } from 'node:crypto'

/** One file that the build makes. */
export interface Step {
  /** Unique; what `--only` takes. */
  readonly name: string
  /** What `--only` takes for all steps of a kind. */
  readonly group: string
  /** Path below staging/. */
  readonly output: string
  /** Only the test suites need it. */
  readonly forTests: boolean
  /** Few need it, and it takes long: made only when `--only` asks for it. */
  readonly onRequest?: boolean
  /** Seconds with empty caches; for the estimate that is shown. */
  readonly coldSeconds: number
  /** Sees to what the machine must have before `material` can be told, for instance a C library. */
  readonly prepare?: (context: StepContext) => Promise<void>
  /** Everything that decides the content of the output: equal material means that it need not be made again. */
  readonly material: (outputs: Outputs) => Promise<unknown>
  /** Writes the finished file to `path`. */
  readonly make: (path: string, context: StepContext) => Promise<void>
}

/** What a step may use while it works. */
export interface StepContext {
  readonly signal: AbortSignal
  /** Shown beside the elapsed time; called as often as there is news. */
  readonly progress: (news: string) => void
  /** Everything the step's programs print, kept in a file. */
  readonly log: (text: string) => void
  readonly outputs: Outputs
}

/** The finished outputs of earlier steps. */
export interface Outputs {
  /** Absolute path of an output. */
  path(stepName: string): string
  /** Its SHA-256 in hex. */
  sha256(stepName: string): string
}

/** A step failed; the message is for the user and may have several lines. */
export class BuildError extends Error {}

/** The name that material goes by in the caches. */
export function keyOf(step: Step, material: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify([step.name, material]))
    .digest('hex')
    .slice(0, 40)
}
