// Writes what derives from the schemas of pkg/apis: config/schemas, config/samples/default.yaml and the reference of the
// configuration file. `--check` only tells whether they are fresh.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { renderDefaultConfig } from '#pkg/config/create.ts'
import { exportSchema } from '#pkg/config/export-schema.ts'
import { renderConfigReference } from '#pkg/config/reference.ts'

const schema = exportSchema(asJsonSchema(clusterConfigSchema))
const reference = await format(renderConfigReference(schema), {
  ...(await resolveConfig(import.meta.filename)),
  parser: 'markdown',
})
const files = {
  'config/schemas/clusterconfig.k0s.k0sproject.io.v1beta1.json': `${JSON.stringify(
    { $schema: 'http://json-schema.org/draft-07/schema#', ...schema },
    undefined,
    2,
  )}\n`,
  'config/samples/default.yaml': renderDefaultConfig(),
  'docs/reference/config.md': reference,
}

const check = process.argv.includes('--check')
for (const [name, text] of Object.entries(files)) {
  const file = new URL(`../${name}`, import.meta.url)
  if (!check) {
    mkdirSync(new URL('.', file), { recursive: true })
    writeFileSync(file, text)
  } else if (readOrEmpty(file) !== text) {
    process.exitCode = 1
    console.error(`${name} is not fresh: run make generate`)
  }
}

function readOrEmpty(file: URL): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
