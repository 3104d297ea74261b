import { Args, Command, Config, Flags, type Interfaces } from '@oclif/core'
import type { ArgSpec, CommandDefinition, CommandIo } from '#cmd/define.ts'
import type { Flag, FlagTable } from '#cmd/flags/flag.ts'
import { runCommand } from '#cmd/run.ts'

/** What the classes need to run. */
export interface OclifDeps {
  readonly io: CommandIo
  readonly version: string
  showHelp(definition: CommandDefinition): Promise<void>
}

type OclifFlag = Interfaces.FlagInput[string]

/** Groups of commands that are none themselves. */
const topics: Interfaces.Topic[] = [
  { name: 'config', description: 'Work with the cluster configuration' },
  { name: 'install', description: 'Install k0s as a service of this host' },
  { name: 'kubeconfig', description: 'Make kubeconfig files' },
  { name: 'token', description: 'Manage join tokens' },
]

/**
 * oclif's view of the commands. They are handed over as one ready-made plugin: a bundle has no files that oclif could
 * discover, and reading none keeps `--help` fast.
 */
export async function oclifConfig(definitions: readonly CommandDefinition[], deps: OclifDeps): Promise<Config> {
  const commands = definitions.map((definition) => loadable(definition, deps))
  const pjson = {
    name: 'k0s',
    version: deps.version,
    oclif: {
      bin: 'k0s',
      topicSeparator: ' ',
      description: 'Kubernetes with an isolated control plane',
      helpOptions: { hideAliasesFromRoot: true, flagSortOrder: 'none', hideCommandSummaryInDescription: true },
    },
  } as unknown as Interfaces.PJSON
  const plugin: Interfaces.Plugin = {
    _base: '',
    alias: 'k0s',
    commandIDs: commands.map(({ id }) => id),
    commands,
    commandsDir: undefined,
    findCommand: ((id: string) => commands.find((c) => c.id === id)?.load()) as Interfaces.Plugin['findCommand'],
    hasManifest: true,
    hooks: {},
    isRoot: true,
    load: () => Promise.resolve(),
    moduleType: 'module',
    name: 'k0s',
    options: { root: '/' },
    pjson,
    root: '/',
    topics,
    type: 'core',
    valid: true,
    version: deps.version,
  }
  const config = new QuietConfig({ root: '/', plugins: new Map([['k0s', plugin]]), version: deps.version })
  await config.load()
  return config
}

/** Reads no file of the user's home: whoever runs k0s gets the same help. */
class QuietConfig extends Config {
  override loadTheme(): ReturnType<Config['loadTheme']> {
    return Promise.resolve(undefined)
  }
}

/** The oclif class of a command: its metadata for the help, and the flag layer instead of oclif's parser. */
export function commandClass(definition: CommandDefinition, deps: OclifDeps): Command.Class {
  class DefinedCommand extends Command {
    static override id = oclifId(definition.id)
    static override summary = definition.summary
    static override flags = oclifFlags(definition.flags)
    static override args = Object.fromEntries((definition.args ?? []).map((arg) => [arg.name, oclifArg(arg)]))
    static override strict = false

    override async run(): Promise<void> {
      await runCommand(definition, this.argv, deps)
    }
  }
  return DefinedCommand
}

function loadable(definition: CommandDefinition, deps: OclifDeps): Command.Loadable {
  return {
    id: oclifId(definition.id),
    aliases: (definition.aliases ?? []).map(oclifId),
    hiddenAliases: [],
    summary: definition.summary,
    ...(definition.description === undefined ? {} : { description: definition.description }),
    examples: definition.examples.map(({ description, command }) => ({ description, command: `k0s ${command}` })),
    hidden: definition.hidden === true,
    args: Object.fromEntries((definition.args ?? []).map((arg) => [arg.name, oclifArg(arg)])),
    flags: oclifFlags(definition.flags),
    pluginName: 'k0s',
    pluginType: 'core',
    strict: true,
    usage: usageOf(definition),
    load: () => Promise.resolve(commandClass(definition, deps)),
  }
}

/** `token create [flags]`: the long form with every flag would fill a screen. */
function usageOf({ id, args = [], flags, passThrough }: CommandDefinition): string {
  const words = args.map(({ name, required, multiple }) => {
    const word = `${name.toUpperCase()}${multiple === true ? '...' : ''}`
    return required === true ? word : `[${word}]`
  })
  const flagWord = Object.keys(flags).length > 0 && passThrough !== true ? ['[flags]'] : []
  return [id, ...flagWord, ...words].join(' ')
}

/** oclif separates the words of an id with colons. */
function oclifId(id: string): string {
  return id.replaceAll(' ', ':')
}

function oclifArg({
  name,
  description,
  required = false,
  multiple = false,
}: ArgSpec): Interfaces.Arg<string | undefined> {
  return { ...Args.string({ description, required }), name, multiple: multiple || undefined } as never
}

function oclifFlags(table: FlagTable): Interfaces.FlagInput {
  return Object.fromEntries(Object.entries(table).map(([name, flag]) => [name, oclifFlag(flag)]))
}

function oclifFlag(flag: Flag<unknown>): OclifFlag {
  const shared = {
    hidden: flag.hidden === true || flag.unavailable !== undefined,
    ...(flag.short === undefined ? {} : { char: flag.short as never }),
    ...(flag.env === undefined ? {} : { env: flag.env }),
  }
  if (flag.noValue !== undefined) {
    const on = flag.defaultText === 'true' ? ' (on unless =false is given)' : ''
    return Flags.boolean({ ...shared, description: `${flag.description}${on}` })
  }
  const option = Flags.string({
    ...shared,
    description: flag.description,
    helpValue: flag.valueName ?? 'value',
    ...(flag.defaultText === undefined ? {} : { default: flag.defaultText }),
  })
  return option
}
