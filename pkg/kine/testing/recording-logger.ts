import type { Logger } from '#pkg/log/logger.ts'

/** Keeps what was logged, but for `debug`. */
export class RecordingLogger implements Logger {
  readonly lines: string[] = []
  debug = (): void => undefined
  info = (message: string, fields?: unknown): void => void this.lines.push(`info ${message} ${JSON.stringify(fields)}`)
  warn = (message: string, fields?: unknown): void => void this.lines.push(`warn ${message} ${JSON.stringify(fields)}`)
  error = this.warn
  child = (): Logger => this
}
