import { UsageError } from '#pkg/errors/usage.ts'
import { environmentValue } from '#pkg/install/quote.ts'

/** The environment of a service. */
export type ServiceEnvironment = Readonly<Record<string, string>>

/**
 * Reads what `--env` was given: `NAME=value`, or `NAME` for the value that the installing command has in its own
 * environment, so that a secret need not stand in a command line. The last one of a name wins.
 *
 * @throws UsageError
 */
export function parseEnvironment(
  entries: readonly string[],
  own: Readonly<Record<string, string | undefined>>,
): ServiceEnvironment {
  const values: Record<string, string> = {}
  for (const entry of entries) {
    const at = entry.indexOf('=')
    const name = at === -1 ? entry : entry.slice(0, at)
    if (!/^[A-Za-z_]\w*$/.test(name)) {
      throw new UsageError(`invalid value for --env: "${name}" is no name of a variable; it takes NAME=value or NAME`)
    }
    const value = at === -1 ? own[name] : entry.slice(at + 1)
    if (value === undefined) {
      throw new UsageError(
        `--env ${name} takes the value from the environment, where ${name} is not set; write NAME=value`,
      )
    }
    if (/[\0\r\n]/.test(value)) throw new UsageError(`the value of --env ${name} has to be one line`)
    values[name] = value
  }
  return values
}

/** The file: read by systemd as it is, and sourced by OpenRC's shell. Pure. */
export function renderEnvironmentFile(environment: ServiceEnvironment): string {
  const lines = Object.entries(environment).map(([name, value]) => `${name}=${environmentValue(value)}`)
  return [`# Environment of the service; made by "k0s install --env".`, ...lines, ''].join('\n')
}
