// Writes what is generated from the code: docs/reference and config/schemas. `--check` only tells whether it is fresh.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { commands } from '#cmd/index.ts'
import { renderCliReference } from '#cmd/reference/cli.ts'
import { renderErrorReference } from '#cmd/reference/errors.ts'
import { errorRegistry } from '#pkg/errors/registry.ts'

const check = process.argv.includes('--check')
const folder = resolve(import.meta.dirname, '../docs/reference')
const pages = {
  'cli.md': renderCliReference(commands),
  'errors.md': renderErrorReference(errorRegistry),
}

await mkdir(folder, { recursive: true })
for (const [name, text] of Object.entries(pages)) {
  const file = join(folder, name)
  const formatted = await format(text, { ...(await resolveConfig(file)), parser: 'markdown' })
  if (!check) await writeFile(file, formatted)
  else if ((await readFile(file, 'utf8').catch(() => '')) !== formatted) {
    process.exitCode = 1
    process.stderr.write(`docs/reference/${name} is not fresh: run make generate\n`)
  }
}
// Reads the same --check.
await import('#config/generate-schemas.ts')
