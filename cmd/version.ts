import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'

export const version = defineCommand({
  id: 'version',
  summary: 'Print the version of k0s, and of everything inside it',
  examples: [
    { description: 'The version of this product', command: 'version' },
    { description: 'Every component, for a script', command: 'version --all --json' },
  ],
  flags: {
    all: flag.bool('print the version of every component', { short: 'a' }),
    json: flag.bool('print JSON', { short: 'j' }),
  },
  run: async ({ flags, io }) => {
    const { componentVersions } = await import('#pkg/assets/versions.ts')
    const { productVersion } = await import('#pkg/assets/product.ts')
    const versions = { k0s: productVersion(), ...(flags.all ? await componentVersions() : {}) }
    if (flags.json) io.stdout(`${JSON.stringify(versions, undefined, 2)}\n`)
    else if (!flags.all) io.stdout(`${versions.k0s}\n`)
    else
      io.stdout(
        Object.entries(versions)
          .map(([name, text]) => `${name}: ${text}\n`)
          .join(''),
      )
  },
})
