import { K0sError } from '#pkg/errors/error.ts'

/** One thing that is wrong in a configuration, or worth knowing. */
export interface Problem {
  /** `spec.network.podCIDR`; list items as `spec.workerProfiles[0].name`. Empty for the document itself. */
  readonly path: string
  /** What is wrong and what to do, without the path. */
  readonly message: string
}

/** `path: message` on one line. */
export function problemText({ path, message }: Problem): string {
  return path === '' ? message : `${path}: ${message}`
}

/** A configuration file cannot be used. All problems are in `problems`, and one after the other in the message. */
export class ConfigError extends K0sError {
  override readonly code = 'ERR_CONFIG'
  /** File name, or `standard input`. */
  readonly source: string
  readonly problems: readonly Problem[]

  constructor(source: string, problems: readonly Problem[], options?: { readonly cause?: unknown }) {
    super(`${source} is not valid: ${problems.map(problemText).join('; ')}`, options)
    this.source = source
    this.problems = problems
  }
}
