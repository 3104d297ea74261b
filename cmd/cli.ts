import { commands } from '#cmd/index.ts'
import type { CommandDefinition, CommandIo } from '#cmd/define.ts'
import { resolveCommand } from '#cmd/resolve.ts'
import { asksForDebug, renderError, runCommand } from '#cmd/run.ts'

/**
 * Runs one command line and returns the exit code: 0, or 1 after one line on standard error.
 *
 * Commands that stay (roles and their children) or become another program run without oclif, whose memory and start-up
 * time they would pay for nothing; all others go through it.
 */
export async function runCli(argv: readonly string[], io: CommandIo): Promise<number> {
  try {
    const resolution = resolveCommand(commands, argv)
    if (resolution.kind === 'help') await showHelp(resolution.id, io)
    else if (resolution.definition.withoutOclif === true) await runDirectly(resolution.definition, resolution.argv, io)
    else await runWithOclif(resolution.definition, resolution.argv, io)
    return 0
  } catch (err) {
    io.stderr(renderError(err, { debug: asksForDebug(argv, io.env) }))
    return 1
  }
}

async function runDirectly(definition: CommandDefinition, argv: readonly string[], io: CommandIo): Promise<void> {
  await runCommand(definition, argv, { io, showHelp: ({ id }) => showHelp(id, io) })
}

async function runWithOclif(definition: CommandDefinition, argv: readonly string[], io: CommandIo): Promise<void> {
  const config = await loadConfig(io)
  await config.runCommand(definition.id.replaceAll(' ', ':'), [...argv])
}

async function showHelp(id: string, io: CommandIo): Promise<void> {
  const [config, { K0sHelp }] = await Promise.all([loadConfig(io), import('#cmd/help/help.ts')])
  await new K0sHelp(config, { write: (text) => io.stdout(text) }).showHelp(id === '' ? [] : id.split(' '))
}

async function loadConfig(io: CommandIo) {
  const [{ oclifConfig }, { productVersion }] = await Promise.all([
    import('#cmd/help/classes.ts'),
    import('#pkg/assets/product.ts'),
  ])
  return oclifConfig(commands, { io, version: productVersion(), showHelp: ({ id }) => showHelp(id, io) })
}
