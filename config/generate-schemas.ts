// Writes config/schemas from the TypeBox schemas of pkg/apis; `--check` only tells whether they are fresh.
import { readFileSync, writeFileSync } from 'node:fs'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { exportSchema } from '#pkg/config/export-schema.ts'

const schemas = {
  'clusterconfig.k0s.k0sproject.io.v1beta1.json': exportSchema(asJsonSchema(clusterConfigSchema)),
}

const check = process.argv.includes('--check')
for (const [name, schema] of Object.entries(schemas)) {
  const file = new URL(`schemas/${name}`, import.meta.url)
  const text = `${JSON.stringify({ $schema: 'http://json-schema.org/draft-07/schema#', ...schema }, undefined, 2)}\n`
  if (!check) {
    writeFileSync(file, text)
  } else if (readOrEmpty(file) !== text) {
    process.exitCode = 1
    console.error(`config/schemas/${name} is not fresh: run node config/generate-schemas.ts`)
  }
}

function readOrEmpty(file: URL): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
