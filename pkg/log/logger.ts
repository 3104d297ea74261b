/** Structured values beside a message; never secrets, tokens or whole configurations. */
export type LogFields = Readonly<Record<string, unknown>>

/**
 * What the rest of the code knows of logging. Messages are constants, what varies goes in `fields`
 * (`component`, `pid`, `stream`, `durationMs`, `err`, `revision`, `node`).
 */
export interface Logger {
  debug(message: string, fields?: LogFields): void
  info(message: string, fields?: LogFields): void
  warn(message: string, fields?: LogFields): void
  error(message: string, fields?: LogFields): void
  /** A logger that adds `fields` to every line. */
  child(fields: LogFields): Logger
}

/** A logger that drops everything, for tests and one-shot commands. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
}
