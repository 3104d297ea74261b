import { errorMessage, K0sError } from '#pkg/errors/error.ts'

/** The graph of components can never start: the message names who is at fault. */
export class ComponentGraphError extends K0sError {
  override readonly code = 'ERR_COMPONENT_GRAPH'
}

/** A component's start failed. */
export class ComponentFailedError extends K0sError {
  override readonly code = 'ERR_COMPONENT_FAILED'
  readonly component: string

  constructor(component: string, options: { readonly cause: unknown }) {
    super(`cannot start ${component}: ${errorMessage(options.cause)}`, options)
    this.component = component
  }
}

/** A component was started but never served; the message has the last reason it gave. */
export class ComponentNotReadyError extends K0sError {
  override readonly code = 'ERR_COMPONENT_NOT_READY'
  readonly component: string

  constructor(component: string, timeoutMs: number, options: { readonly cause: unknown }) {
    super(`${component} is not ready after ${timeoutMs / 1000} s: ${errorMessage(options.cause)}`, options)
    this.component = component
  }
}

/** Components that did not stop; everything else did. */
export class ComponentStopError extends K0sError {
  override readonly code = 'ERR_COMPONENT_STOP'

  constructor(failures: ReadonlyMap<string, unknown>) {
    const reasons = [...failures].map(([name, err]) => `${name}: ${errorMessage(err)}`)
    super(`cannot stop ${reasons.join('; ')}`, { cause: [...failures.values()][0] })
  }
}
