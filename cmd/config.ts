import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { configFlags, outputFlags, pathFlags } from '#cmd/flags/shared.ts'

const gatesFlag = { 'feature-gates': flag.gates('no effect here; for the same command lines as k0s', { hidden: true }) }

export const configCreate = defineCommand({
  id: 'config create',
  summary: 'Print the default cluster configuration',
  examples: [
    { description: 'A file to start from', command: 'config create > /etc/k0s/k0s.yaml' },
    { description: 'With the images that the components use', command: 'config create --include-images' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    ...gatesFlag,
    'include-images': flag.bool('write down the image of every component'),
  },
  run: async ({ flags, io }) => {
    const { readConfigFile } = await import('#pkg/assets/manifests.ts')
    const text = await readConfigFile('samples/default.yaml')
    io.stdout(flags['include-images'] ? await withImages(text) : text)
  },
})

export const configValidate = defineCommand({
  id: 'config validate',
  summary: 'Check a cluster configuration',
  examples: [
    { description: 'A file', command: 'config validate --config k0s.yaml' },
    { description: 'What another program makes', command: 'config validate --config -' },
  ],
  flags: { ...pathFlags, ...outputFlags({ verbose: false }), ...configFlags, ...gatesFlag },
  run: async ({ flags, io }) => {
    const { checkConfig, readConfig } = await import('#pkg/config/load.ts')
    const { source, text } = await readConfig(flags.config)
    const { warnings } = checkConfig(text, source)
    for (const { path, message } of warnings) io.stderr(`Warning: ${source}: ${path}: ${message}\n`)
  },
})

/** Names under spec.images of the images that are shipped under other names. */
const imageKeys: Readonly<Record<string, string>> = { 'metrics-server': 'metricsserver' }

async function withImages(text: string): Promise<string> {
  const [{ parseDocument }, { imageReferences }] = await Promise.all([
    import('yaml'),
    import('#pkg/assets/versions.ts'),
  ])
  const document = parseDocument(text)
  for (const [name, reference] of Object.entries(await imageReferences())) {
    const colon = reference.lastIndexOf(':')
    const value = { image: reference.slice(0, colon), version: reference.slice(colon + 1) }
    document.setIn(['spec', 'images', imageKeys[name] ?? name], document.createNode(value))
  }
  return document.toString({ lineWidth: 0 })
}
