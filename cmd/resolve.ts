import type { CommandDefinition } from '#cmd/define.ts'
import { UsageError } from '#pkg/errors/usage.ts'

/** What a command line asks for. */
export type Resolution =
  | { readonly kind: 'command'; readonly definition: CommandDefinition; readonly argv: readonly string[] }
  /** Help for a command, a group of commands (`token`), or, with an empty id, everything. */
  | { readonly kind: 'help'; readonly id: string }

/**
 * Finds the command that the first words name. Flags may stand before or between those words, as cobra has it
 * (`k0s --debug token list`); they are handed to the command.
 *
 * @throws UsageError when no command has that name
 */
export function resolveCommand(definitions: readonly CommandDefinition[], argv: readonly string[]): Resolution {
  if (argv[0] === 'help') return resolveHelp(definitions, argv.slice(1))
  const moved: string[] = []
  let id = ''
  let rest = argv
  for (;;) {
    const word = rest[0]
    const found = findCommand(definitions, id)
    if (found?.passThrough === true) return { kind: 'command', definition: found, argv: [...moved, ...rest] }
    if (word === undefined || word === '--') break
    if (word.startsWith('-') && word !== '-') {
      // A flag of the command itself ends the search: what follows it are flags and arguments.
      if (found !== undefined) break
      const length = takesNextWord(definitions, id, word) ? 2 : 1
      moved.push(...rest.slice(0, length))
      rest = rest.slice(length)
      continue
    }
    const next = id === '' ? word : `${id} ${word}`
    if (!hasPrefix(definitions, next)) break
    id = next
    rest = rest.slice(1)
  }
  const definition = findCommand(definitions, id)
  if (definition !== undefined) return { kind: 'command', definition, argv: [...moved, ...rest] }
  if (rest.length > 0 && rest[0] !== '--') throw unknownCommand(definitions, id, rest[0] ?? '')
  const badFlag = moved.find((word) => word.startsWith('-') && !isHelpFlag(word))
  if (badFlag !== undefined && !moved.some(isHelpFlag))
    throw new UsageError(`"${badFlag}" needs a command (see k0s --help)`)
  return { kind: 'help', id }
}

function resolveHelp(definitions: readonly CommandDefinition[], words: readonly string[]): Resolution {
  const id = words.filter((word) => !word.startsWith('-')).join(' ')
  if (id !== '' && !hasPrefix(definitions, id)) throw unknownCommand(definitions, '', id)
  return { kind: 'help', id: findCommand(definitions, id)?.id ?? id }
}

/** The command of this id or alias. */
export function findCommand(definitions: readonly CommandDefinition[], id: string): CommandDefinition | undefined {
  return definitions.find((d) => d.id === id || d.aliases?.includes(id) === true)
}

/** Whether `id` is a command, an alias or the first words of one. */
function hasPrefix(definitions: readonly CommandDefinition[], id: string): boolean {
  return definitions.some((d) => [d.id, ...(d.aliases ?? [])].some((name) => `${name} `.startsWith(`${id} `)))
}

/** A flag before the command's name belongs to some command below `id`: that one says whether it takes a value. */
function takesNextWord(definitions: readonly CommandDefinition[], id: string, word: string): boolean {
  if (word.includes('=') || isHelpFlag(word)) return false
  const below = definitions.filter((d) => id === '' || d.id.startsWith(`${id} `))
  for (const { flags } of below) {
    for (const [name, flag] of Object.entries(flags)) {
      if (word === `--${name}` || word === `-${flag.short ?? ''}`) return flag.noValue === undefined
    }
  }
  return false
}

function isHelpFlag(word: string): boolean {
  return word === '--help' || word === '-h'
}

function unknownCommand(definitions: readonly CommandDefinition[], group: string, word: string): UsageError {
  const within = group === '' ? 'k0s' : `k0s ${group}`
  const names = definitions
    .filter((d) => d.hidden !== true && (group === '' || d.id.startsWith(`${group} `)))
    .map((d) => (group === '' ? d.id : d.id.slice(group.length + 1)).split(' ')[0] ?? '')
  const near = names.find((name) => name.startsWith(word) || word.startsWith(name) || differsByOne(name, word))
  const hint = near === undefined ? '' : `, did you mean "${near}"?`
  return new UsageError(`unknown command "${word}" for "${within}"${hint} (see ${within} --help)`)
}

function differsByOne(a: string, b: string): boolean {
  if (Math.abs(a.length - b.length) > 1) return false
  const sorted = (text: string): string => text.split('').sort().join('')
  if (sorted(a) === sorted(b)) return true
  let start = 0
  while (start < a.length && a[start] === b[start]) start += 1
  const tails = [
    [a.slice(start + 1), b.slice(start + 1)],
    [a.slice(start), b.slice(start + 1)],
    [a.slice(start + 1), b.slice(start)],
  ]
  return tails.some(([x, y]) => x === y)
}
