import { resolve } from 'node:path'
import { splitCsv } from '#cmd/flags/csv.ts'
import { formatDuration, parseDurationMs } from '#cmd/flags/duration.ts'
import { FlagValueError, type Flag, type FlagOptions } from '#cmd/flags/flag.ts'

/** `--flag`, `--flag=true|false|1|0|t|f`: never takes the next argument. */
export function bool(description: string, options: FlagOptions & { readonly default?: boolean } = {}): Flag<boolean> {
  return {
    takes: 'true or false',
    defaultText: options.default === true ? 'true' : undefined,
    noValue: 'true',
    ...options,
    description,
    default: options.default ?? false,
    parse: parseBool,
  }
}

/** Any text. */
export function text(description: string, options: FlagOptions & { readonly default?: string } = {}): Flag<string> {
  return {
    takes: 'a value',
    valueName: 'string',
    defaultText: options.default === '' ? undefined : options.default,
    ...options,
    description,
    default: options.default ?? '',
    parse: (value) => value,
  }
}

/** Text that may stay unset. */
export function optionalText(description: string, options: FlagOptions = {}): Flag<string | undefined> {
  return { ...text(description, options), default: undefined }
}

/** A file or directory; relative ones are resolved against the working directory, `-` (standard stream) stays. */
export function path(description: string, options: FlagOptions & { readonly default?: string } = {}): Flag<string> {
  return { ...text(description, { takes: 'a path', valueName: 'path', ...options }), parse: absolute }
}

/** A path that may stay unset. */
export function optionalPath(description: string, options: FlagOptions = {}): Flag<string | undefined> {
  return { ...path(description, options), default: undefined }
}

/** One of a closed list. */
export function choice<const C extends string>(
  description: string,
  choices: readonly C[],
  options: FlagOptions & { readonly default: C },
): Flag<C> {
  return { ...optionalChoice(description, choices, options), default: options.default } as Flag<C>
}

/** One of a closed list, or unset. */
export function optionalChoice<const C extends string>(
  description: string,
  choices: readonly C[],
  options: FlagOptions & { readonly default?: C } = {},
): Flag<C | undefined> {
  return {
    takes: `one of ${choices.join(', ')}`,
    valueName: choices.join('|'),
    defaultText: options.default,
    ...options,
    description,
    choices,
    default: options.default,
    parse: (value) => {
      const found = choices.find((c) => c === value)
      if (found === undefined) throw new FlagValueError()
      return found
    },
  }
}

/** A whole number within bounds. */
export function integer(
  description: string,
  options: FlagOptions & { readonly default: number; readonly min?: number; readonly max?: number },
): Flag<number> {
  const { min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER, ...rest } = options
  const range =
    options.min === undefined ? '' : options.max === undefined ? ` of at least ${min}` : ` from ${min} to ${max}`
  return {
    takes: `a whole number${range}`,
    valueName: 'number',
    defaultText: String(options.default),
    ...rest,
    description,
    parse: (value) => {
      const number = Number(value)
      if (!/^[+-]?\d+$/.test(value) || number < min || number > max) throw new FlagValueError()
      return number
    },
  }
}

/** A duration in Go's syntax; the value is in milliseconds. */
export function duration(
  description: string,
  options: FlagOptions & { readonly defaultMs: number; readonly minMs?: number },
): Flag<number> {
  const { defaultMs, minMs = 0, ...rest } = options
  return {
    takes: 'a duration such as 30s or 1h30m',
    valueName: 'duration',
    defaultText: formatDuration(defaultMs),
    ...rest,
    description,
    default: defaultMs,
    parse: (value) => {
      const ms = parseDurationMs(value)
      if (ms === undefined || ms < minMs) throw new FlagValueError()
      return ms
    },
  }
}

/** A list: comma-separated, repeated, or both. */
export function list(
  description: string,
  options: FlagOptions & { readonly default?: readonly string[] } = {},
): Flag<readonly string[]> {
  return {
    takes: 'a comma-separated list',
    valueName: 'list',
    defaultText: options.default?.join(','),
    ...options,
    description,
    default: options.default ?? [],
    parse: csv,
    add: (previous, next) => [...previous, ...next],
  }
}

/** A list with one entry for each use of the flag; commas belong to the entry (pflag's StringArray). */
export function array(description: string, options: FlagOptions = {}): Flag<readonly string[]> {
  return { ...list(description, options), takes: options.takes ?? 'a value', parse: (value) => [value] }
}

/** A map `k=v,k2=v2`: comma-separated, repeated, or both. */
export function map(
  description: string,
  options: FlagOptions & { readonly defaultText?: string } = {},
): Flag<Readonly<Record<string, string>>> {
  return {
    takes: 'a list key=value,key2=value2',
    valueName: 'key=value,…',
    ...options,
    description,
    default: {},
    parse: (value) => Object.fromEntries(csv(value).map(keyValue)),
    add: (previous, next) => ({ ...previous, ...next }),
  }
}

/** Feature gates: `Name=true,Other=false`. */
export function gates(description: string, options: FlagOptions = {}): Flag<Readonly<Record<string, boolean>>> {
  return {
    takes: 'a list Name=true,Other=false',
    valueName: 'name=bool,…',
    ...options,
    description,
    default: {},
    parse: (value) =>
      Object.fromEntries(
        csv(value)
          .map(keyValue)
          .map(([name, state]) => [name, parseBool(state)] as const),
      ),
    add: (previous, next) => ({ ...previous, ...next }),
  }
}

/** The spellings that Go's strconv.ParseBool accepts. @throws FlagValueError */
export function parseBool(value: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false
  throw new FlagValueError()
}

function absolute(value: string): string {
  if (value === '') throw new FlagValueError()
  return value === '-' ? value : resolve(value)
}

function csv(value: string): readonly string[] {
  const fields = splitCsv(value)
  if (fields === undefined) throw new FlagValueError('a quote is not closed or stands inside an entry')
  return fields
}

function keyValue(entry: string): readonly [string, string] {
  const at = entry.indexOf('=')
  if (at <= 0) throw new FlagValueError(`"${entry}" has no key or no =`)
  return [entry.slice(0, at), entry.slice(at + 1)]
}
