/**
 * One change of a database's layout. The dialect runs `run` and records `to` in one transaction, or, where the database
 * commits each definition by itself (MySQL), `run` can be repeated: a killed program goes on with the same step.
 *
 * INVARIANTS: steps are in order, `to` rises by one from 1; a step that was released is never changed.
 */
export interface SchemaStep<C, R = void> {
  /** Schema version that this step leads to; 0 is a database without our tables. */
  readonly to: number
  /** For the log, such as `create the tables`. */
  readonly what: string
  run(db: C): R
}

/** The newest schema version that these steps know. */
export function newestVersion(steps: readonly { readonly to: number }[]): number {
  return steps.at(-1)?.to ?? 0
}

/**
 * The steps that a database at `version` still needs, none if it is up to date.
 *
 * @throws Error if a newer program has written it: an older one would not understand what it reads
 */
export function stepsFrom<S extends { readonly to: number }>(steps: readonly S[], version: number): readonly S[] {
  const newest = newestVersion(steps)
  if (version > newest) {
    throw new Error(`schema version ${version} is newer than ${newest}; run the version of k0s that wrote it`)
  }
  return steps.filter(({ to }) => to > version)
}
