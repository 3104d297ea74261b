import type { ArgSpec, CommandDefinition, CommandIo } from '#cmd/define.ts'
import { parseFlags } from '#cmd/flags/parse.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { UsageError } from '#pkg/errors/usage.ts'

/** What the runner needs of its surroundings. */
export interface RunDeps {
  readonly io: CommandIo
  /** Prints the help of one command; loads what that takes. */
  showHelp(definition: CommandDefinition): Promise<void>
}

/** Runs one command with the words after its name. @throws UsageError, and whatever the command throws */
export async function runCommand(definition: CommandDefinition, argv: readonly string[], deps: RunDeps): Promise<void> {
  const { io } = deps
  if (definition.passThrough === true) {
    await definition.run({ flags: {}, args: argv, changed: new Set(), given: [], io })
    return
  }
  const command = `k0s ${definition.id}`
  const { flags, args, changed, given, help } = parseFlags(definition.flags, argv, { command, env: io.env })
  if (help) {
    await deps.showHelp(definition)
    return
  }
  checkArgs(command, definition.args ?? [], args)
  await definition.run({ flags, args, changed, given, io })
}

/**
 * The line (or, with `--debug`, the chain of causes) that ends a failed command.
 *
 * A message is one line whatever it quotes, so that scripts and journals show it whole.
 */
export function renderError(thrown: unknown, options: { readonly debug: boolean }): string {
  const line = `Error: ${oneLine(errorMessage(thrown))}\n`
  return options.debug ? `${line}${causeChain(thrown)}` : line
}

/** Whether this command line or environment asks for debug output, read without knowing the command. */
export function asksForDebug(argv: readonly string[], env: CommandIo['env']): boolean {
  const end = argv.indexOf('--')
  const words = end === -1 ? argv : argv.slice(0, end)
  const last = words.findLast((word) => /^(--debug|-d)(=|$)/.test(word))
  const value = last === undefined ? env['DEBUG'] : (last.split('=')[1] ?? 'true')
  return ['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value ?? '')
}

function causeChain(thrown: unknown): string {
  const lines: string[] = []
  for (let err = thrown; err instanceof Error; err = err.cause) {
    lines.push(`${lines.length === 0 ? 'stack' : 'caused by'}: ${err.stack ?? err.message}\n`)
  }
  return lines.join('')
}

function oneLine(message: string): string {
  return message.trim().replaceAll(/\s*[\r\n]+\s*/g, ' ')
}

function checkArgs(command: string, specs: readonly ArgSpec[], args: readonly string[]): void {
  const missing = specs.slice(args.length).find(({ required }) => required === true)
  if (missing !== undefined) throw new UsageError(`${command} needs <${missing.name}>: ${missing.description}`)
  if (specs.at(-1)?.multiple === true || args.length <= specs.length) return
  const extra = args[specs.length] ?? ''
  const takes = specs.length === 0 ? 'no argument' : `at most ${specs.length === 1 ? 'one argument' : specs.length}`
  const hint = /^(true|false)$/i.test(extra) ? ` (write --flag=${extra} to set a flag)` : ''
  throw new UsageError(`${command} takes ${takes}, but "${extra}" was given${hint}`)
}
