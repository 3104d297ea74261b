import { FlagValueError, type Flag, type FlagTable, type FlagValues } from '#cmd/flags/flag.ts'
import { UsageError } from '#pkg/errors/usage.ts'

/** What a command line says. */
export interface ParsedFlags<F extends FlagTable> {
  readonly flags: FlagValues<F>
  /** Everything that is no flag, in order, and all that follows `--`. */
  readonly args: readonly string[]
  /** Long names of the flags that the command line sets (not the environment). */
  readonly changed: ReadonlySet<string>
  /** Each use of a flag on the command line, in order. */
  readonly given: readonly GivenFlag[]
  /** `--help` or `-h` was given: nothing else was checked. */
  readonly help: boolean
}

/** One use of a flag. */
export interface GivenFlag {
  /** Long name. */
  readonly name: string
  /** Its value as another command line takes it, wherever that is run: paths are absolute. */
  readonly value: string
}

/** What parsing needs to know beside the table. */
export interface ParseContext {
  /** Full name for messages, for example `k0s token create`. */
  readonly command: string
  readonly env: Readonly<Record<string, string | undefined>>
}

/**
 * Reads a command line the way Go's pflag does: `--b`, `--b=false`, `--s v`, `--s=v`, `-o json`, `-ojson`, `-o=json`,
 * clusters of short booleans, `--` ends the flags, arguments and flags in any order. A boolean never takes the next
 * argument; any other flag takes it whatever it looks like.
 *
 * @throws UsageError one line that names the flag and what it takes
 */
export function parseFlags<F extends FlagTable>(
  table: F,
  argv: readonly string[],
  context: ParseContext,
): ParsedFlags<F> {
  const scan = scanFlags(table, argv, context)
  const values: Record<string, unknown> = {}
  for (const [name, flag] of Object.entries(table)) values[name] = defaultOf(flag, context.env)
  const changed = new Set<string>()
  const given: GivenFlag[] = []
  if (scan.help) return { flags: values as FlagValues<F>, args: scan.args, changed, given, help: true }
  for (const { name, shown, value } of scan.given) {
    const flag = flagOf(table, name)
    const parsed = parseValue(flag, shown, value)
    values[name] = changed.has(name) && flag.add !== undefined ? flag.add(values[name], parsed) : parsed
    changed.add(name)
    given.push({ name, value: typeof parsed === 'string' ? parsed : value })
  }
  for (const name of changed) refuseUnavailable(flagOf(table, name), name, values[name])
  return { flags: values as FlagValues<F>, args: scan.args, changed, given, help: false }
}

interface Given {
  readonly name: string
  /** As the user wrote it: `--output` or `-o`. */
  readonly shown: string
  readonly value: string
}

interface Scan {
  readonly given: readonly Given[]
  readonly args: readonly string[]
  readonly help: boolean
}

function scanFlags(table: FlagTable, argv: readonly string[], context: ParseContext): Scan {
  const given: Given[] = []
  const args: string[] = []
  for (let i = 0; i < argv.length; i += 1) {
    const word = argv[i] ?? ''
    if (word === '--') return { given, args: [...args, ...argv.slice(i + 1)], help: false }
    if (!word.startsWith('-') || word === '-') {
      args.push(word)
      continue
    }
    const read = word.startsWith('--') ? readLong(table, word, context) : readCluster(table, word, context)
    if (read === 'help') return { given, args, help: true }
    given.push(...read.given)
    if (read.open === undefined) continue
    i += 1
    const value = argv[i]
    if (value === undefined) throw new UsageError(`${read.open.shown} needs a value: it takes ${read.open.flag.takes}`)
    given.push({ name: read.open.name, shown: read.open.shown, value })
  }
  return { given, args, help: false }
}

interface Read {
  readonly given: readonly Given[]
  /** A flag whose value is the next argument. */
  readonly open?: { readonly name: string; readonly shown: string; readonly flag: Flag<unknown> }
}

function readLong(table: FlagTable, word: string, context: ParseContext): Read | 'help' {
  const at = word.indexOf('=')
  const name = word.slice(2, at === -1 ? undefined : at)
  if (name === '' || name.startsWith('-')) throw new UsageError(`bad flag syntax: ${word}`)
  const flag = Object.hasOwn(table, name) ? table[name] : undefined
  if (flag === undefined) {
    if (name === 'help') return 'help'
    throw unknownFlag(table, `--${name}`, context)
  }
  const shown = `--${name}`
  if (at !== -1) return { given: [{ name, shown, value: word.slice(at + 1) }] }
  if (flag.noValue !== undefined) return { given: [{ name, shown, value: flag.noValue }] }
  return { given: [], open: { name, shown, flag } }
}

/** `-v`, `-vd`, `-ojson`, `-o=json`, `-vo json`. */
function readCluster(table: FlagTable, word: string, context: ParseContext): Read | 'help' {
  const given: Given[] = []
  for (let i = 1; i < word.length; i += 1) {
    const letter = word.charAt(i)
    const found = Object.entries(table).find(([, { short }]) => short === letter)
    if (found === undefined) {
      if (letter === 'h') return 'help'
      throw unknownFlag(table, `-${letter}`, context, word)
    }
    const [name, flag] = found
    const shown = `-${letter}`
    const rest = word.slice(i + 1)
    if (rest.startsWith('=')) return { given: [...given, { name, shown, value: rest.slice(1) }] }
    if (flag.noValue !== undefined) {
      given.push({ name, shown, value: flag.noValue })
      continue
    }
    if (rest !== '') return { given: [...given, { name, shown, value: rest }] }
    return { given, open: { name, shown, flag } }
  }
  return { given }
}

function unknownFlag(table: FlagTable, shown: string, { command }: ParseContext, within?: string): UsageError {
  const where = within === undefined || within === shown ? '' : ` in ${within}`
  const near = Object.keys(table).find((name) => isNear(`--${name}`, shown))
  const hint = near === undefined ? '' : `, did you mean --${near}?`
  return new UsageError(`unknown flag ${shown}${where} for "${command}"${hint} (see ${command} --help)`)
}

/** A slip of one letter, a missing or an extra dash. */
function isNear(known: string, given: string): boolean {
  if (known.replaceAll('-', '') === given.replaceAll('-', '').toLowerCase()) return true
  if (Math.abs(known.length - given.length) > 1 || given.length < 5) return false
  let start = 0
  while (start < known.length && known[start] === given[start]) start += 1
  let tail = 0
  while (tail < Math.min(known.length, given.length) - start && known.at(-1 - tail) === given.at(-1 - tail)) tail += 1
  return Math.max(known.length, given.length) - start - tail <= 1
}

function flagOf(table: FlagTable, name: string): Flag<unknown> {
  const flag = table[name]
  if (flag === undefined) throw new TypeError(`flag ${name} is not in its table`)
  return flag
}

function parseValue(flag: Flag<unknown>, shown: string, value: string): unknown {
  try {
    return flag.parse(value)
  } catch (err) {
    if (!(err instanceof FlagValueError)) throw err
    const reason = err.message === '' ? '' : ` (${err.message})`
    throw new UsageError(`invalid value "${value}" for ${shown}${reason}: it takes ${flag.takes}`, { cause: err })
  }
}

function defaultOf(flag: Flag<unknown>, env: ParseContext['env']): unknown {
  const value = flag.env === undefined ? undefined : env[flag.env]
  if (value === undefined || value === '') return flag.default
  try {
    return flag.parse(value)
  } catch (err) {
    if (err instanceof FlagValueError) return flag.default
    throw err
  }
}

function refuseUnavailable(flag: Flag<unknown>, name: string, value: unknown): void {
  if (flag.unavailable === undefined || JSON.stringify(value) === JSON.stringify(flag.default)) return
  throw new UsageError(`--${name} is not available in this version: ${flag.unavailable}`)
}
