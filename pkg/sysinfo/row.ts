/** How a probe ended: `rejected` keeps a worker from starting, `error` means that the probe itself failed. */
export type ProbeCategory = 'pass' | 'warning' | 'rejected' | 'error'

/** One line of `k0s sysinfo`, with the field names of k0s. */
export interface ProbeRow {
  /** Where it belongs, for example `['os', 'kernel', 'overlayfs']`. */
  readonly path: readonly string[]
  readonly displayName: string
  /** What was found. */
  readonly prop: string
  /** What it means, or what to do; empty when there is nothing to say. */
  readonly message: string
  readonly category: ProbeCategory
  /** Why the probe failed. */
  readonly error?: string
}

/** Makes a row. */
export function row(
  path: readonly string[],
  displayName: string,
  prop: string,
  category: ProbeCategory = 'pass',
  message = '',
): ProbeRow {
  return { path, displayName, prop, message, category }
}
