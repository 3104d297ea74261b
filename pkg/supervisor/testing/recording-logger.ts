import type { LogFields, Logger } from '#pkg/log/logger.ts'

/** A line that was logged. */
export interface LoggedLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly fields: LogFields
}

/** A logger that keeps its lines in `lines`, those of its children included. */
export function recordingLogger(
  lines: LoggedLine[] = [],
  bound: LogFields = {},
): Logger & { readonly lines: LoggedLine[] } {
  const write = (level: LoggedLine['level']) => (message: string, fields?: LogFields) => {
    lines.push({ level, message, fields: { ...bound, ...fields } })
  }
  return {
    lines,
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => recordingLogger(lines, { ...bound, ...fields }),
  }
}
