import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { checkout } from '#inttest/common/names.ts'

/** What `make up` and `make down` are about. */
export interface UpOptions {
  readonly instance: string
  readonly single: boolean
  /** Where the hosts live; `make down` removes it. */
  readonly dir: string
  /** `build/k0s kubectl` falls back to the file of this name beside it, so that it works with no environment set. */
  readonly kubeconfig: string
}

/** Reads the command line of up.ts and down.ts; a test gives an instance and a kubeconfig of its own. */
export function upOptions(args: readonly string[]): UpOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      single: { type: 'boolean', default: false },
      instance: { type: 'string', default: 'up' },
      kubeconfig: { type: 'string', default: join(checkout, 'build', 'kubeconfig') },
    },
  })
  return { ...values, dir: join(checkout, '.cluster', values.instance) }
}
