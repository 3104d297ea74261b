/** What to run. */
export interface ProcessSpec {
  /** Component name: log field `component`, name of the PID file. */
  readonly name: string
  /** Absolute path of the program. */
  readonly path: string
  readonly args: readonly string[]
  /** Whole environment of the child, besides PATH (default: the usual system directories) and our markers. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** User the child runs as; default: the supervisor's. Supplementary groups are dropped. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined
  /** `<run-dir>/<name>.pid` */
  readonly pidFile: string
  /** SIGTERM to the group, then SIGKILL after this many milliseconds. */
  readonly stopGraceMs: number
  /** In place of `stopGraceMs` where that depends on what is known when it is to stop. */
  readonly stopGraceNowMs?: () => number
  /**
   * Resolves with the reason when what the process waits for at its end will not come: it gets SIGKILL then, whatever is left
   * of its grace time. Called with each SIGTERM; `signal` aborts when the process has ended. Its rejection is no reason.
   */
  readonly untilInVain?: (signal: AbortSignal) => Promise<string>
  /** How long a process may go on after its successor started, see `SupervisedProcess.replace`. Default 60 s. */
  readonly replaceTimeoutMs?: number
  /** Written to the child and closed, at every start: configuration with secrets. */
  readonly stdin?: string
}
