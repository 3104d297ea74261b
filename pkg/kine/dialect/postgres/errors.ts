import { errorMessage } from '#pkg/errors/error.ts'
import { StoreError } from '#pkg/kine/errors.ts'

/** What the server answered instead of a result. The message never holds values of ours. */
export class PostgresError extends Error {
  /** SQLSTATE, five characters. */
  readonly state: string
  /** The server ends the connection with it. */
  readonly fatal: boolean

  constructor(message: string, state: string, fatal: boolean) {
    super(`${message} (SQLSTATE ${state})`)
    this.name = 'PostgresError'
    this.state = state
    this.fatal = fatal
  }
}

/** The connection broke, or was given up because no answer came. */
export class ConnectionLostError extends Error {
  /** How long an answer was waited for; Infinity if that was not the reason. */
  readonly silentMs: number

  constructor(reason: string, options: { readonly cause?: unknown; readonly silentMs?: number } = {}) {
    super(reason, options)
    this.silentMs = options.silentMs ?? Infinity
    this.name = 'ConnectionLostError'
  }

  /** No answer came in time. */
  get timedOut(): boolean {
    return this.silentMs < Infinity
  }
}

/** Reads the fields of an ErrorResponse. */
export function parseError(body: Buffer): PostgresError {
  const fields = new Map<string, string>()
  for (let at = 0; body[at] !== 0 && at < body.length;) {
    const end = body.indexOf(0, at)
    fields.set(String.fromCharCode(body[at] ?? 0), body.toString('utf8', at + 1, end))
    at = end + 1
  }
  // V is the severity that is never translated.
  const fatal = ['FATAL', 'PANIC'].includes(fields.get('V') ?? '')
  return new PostgresError(fields.get('M') ?? 'unknown error', fields.get('C') ?? 'XX000', fatal)
}

/** SQLSTATE of whatever failed, of pg's own errors too; empty if it is none of the server's. */
export function stateOf(error: unknown): string {
  if (error instanceof PostgresError) return error.state
  if (!(error instanceof Error)) return ''
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : ''
}

/** invalid_sql_statement_name, duplicate_prepared_statement: a pooler hands out connections by transaction. */
export function isForeignStatement(error: unknown): boolean {
  return ['26000', '42P05'].includes(stateOf(error))
}

/** disk_full; the system's own text when the error comes from somewhere deeper. */
function isNoSpace(error: unknown): boolean {
  return stateOf(error) === '53100' || /no space left on device/i.test(errorMessage(error))
}

/**
 * What an error means for the client of the store: the database is full, or it cannot be asked now, be it that it is
 * away, shuts down (57P01), has become a standby (25006) or gave the transaction up (40001, 40P01, 55P03).
 */
export function toStoreError(error: unknown): StoreError {
  if (error instanceof StoreError) return error
  return new StoreError(isNoSpace(error) ? 'no-space' : 'unavailable', { cause: error })
}

/**
 * Whether waiting cannot help: wrong password or role (class 28), missing right (42501), a server that is not to be
 * trusted or does not speak TLS.
 */
export function isMisconfiguration(error: unknown): boolean {
  const state = stateOf(error)
  if (state !== '') return state.startsWith('28') || ['42501', '3D000', '3F000'].includes(state)
  const { code } = error as { readonly code?: unknown }
  const text = typeof code === 'string' ? code : ''
  return (
    /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO_/.test(text) || /does not support SSL|no password/.test(errorMessage(error))
  )
}
