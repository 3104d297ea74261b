import winston from 'winston'
import { errorMessage } from '#pkg/errors/error.ts'
import type { LogFields, Logger } from '#pkg/log/logger.ts'

/** Where lines go and how much of them. */
export interface LogOptions {
  /** `info` unless `--debug` was given. */
  readonly level: 'debug' | 'info' | 'warn' | 'error'
}

/** The process's root logger: logfmt lines on standard error, as the supervised Kubernetes programs do. */
export function createLogger({ level }: LogOptions): Logger {
  const root = winston.createLogger({
    level,
    format: winston.format.combine(
      winston.format.timestamp(),
      winston.format.printf((info) => formatLine(info as unknown as LogLine)),
    ),
    transports: [consoleTransport()],
  })
  return wrap(root, {})
}

function consoleTransport(): winston.transport {
  // eslint-disable-next-line @typescript-eslint/no-unsafe-class-instance-assignment -- winston's own types disagree on the stream base class
  return new winston.transports.Console({ stderrLevels: ['error', 'warn', 'info', 'debug'] })
}

function wrap(root: winston.Logger, bound: LogFields): Logger {
  const write =
    (level: string) =>
    (message: string, fields: LogFields = {}) => {
      root.log(level, message, { fields: { ...bound, ...fields } })
    }
  return {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: (fields) => wrap(root, { ...bound, ...fields }),
  }
}

interface LogLine {
  readonly timestamp: string
  readonly level: string
  readonly message: string
  readonly fields: LogFields
}

/** `time=… level=… msg="…" key=value`: one event a line, values quoted only where they need it. */
export function formatLine({ timestamp, level, message, fields }: LogLine): string {
  const pairs = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${quote(render(value))}`)
  return [`time=${timestamp}`, `level=${level}`, `msg=${quote(message)}`, ...pairs].join(' ')
}

function render(value: unknown): string {
  if (value instanceof Error) return errorChain(value)
  if (typeof value === 'string') return value
  return JSON.stringify(value)
}

function errorChain(error: Error): string {
  const cause =
    error.cause === undefined
      ? ''
      : `: ${error.cause instanceof Error ? errorChain(error.cause) : errorMessage(error.cause)}`
  return `${error.message}${cause}`
}

function quote(text: string): string {
  return /^[\w./:@+,-]+$/.test(text) ? text : JSON.stringify(text)
}
