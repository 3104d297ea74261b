import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { linkFile, writeIfChanged } from '#embedded-bins/bundle/files.ts'

/** Where the build of the binaries left its results, and where the product has them. */
export interface PayloadOptions {
  readonly root: string
  readonly lib: string
}

/** Links what embedded-bins/staging holds for the product into it; returns how many names of programs there are. */
export async function linkPayload({ root, lib }: PayloadOptions): Promise<number> {
  const staging = join(root, 'embedded-bins', 'staging')
  await mirror(join(staging, 'bin'), join(lib, 'bin'), 0o755)
  await mirror(join(staging, 'images'), join(lib, 'images'), 0o644)
  await mirror(join(staging, 'manifests'), join(lib, 'manifests'), 0o644)
  await writeIfChanged(join(lib, 'versions.json'), await readFile(join(root, 'embedded-bins', 'versions.json')))
  const images = await readFile(join(staging, 'images.json')).catch(() => undefined)
  if (images !== undefined) await writeIfChanged(join(lib, 'images.json'), images)
  const table = await readFile(join(staging, 'bins.json'), 'utf8').catch(() => undefined)
  if (table === undefined) return 0
  await writeIfChanged(join(lib, 'bins.json'), table)
  return Object.keys(JSON.parse(table) as object).length
}

/** Hard links: half a gigabyte is neither copied nor there twice. */
async function mirror(source: string, target: string, mode: number): Promise<void> {
  const files = (await readdir(source, { withFileTypes: true }).catch(() => [])).filter((e) => e.isFile())
  const names = files.map(({ name }) => name).filter((name) => !name.startsWith('.') && !name.endsWith('.tmp'))
  for (const name of names) await linkFile(join(source, name), join(target, name), mode)
  const present = await readdir(target).catch(() => [])
  await Promise.all(
    present.filter((name) => !names.includes(name)).map((name) => rm(join(target, name), { force: true })),
  )
}
