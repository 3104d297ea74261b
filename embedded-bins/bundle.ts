import { mkdir } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'

import { warmCompileCache } from '#embedded-bins/bundle/compile-cache.ts'
import { linkTree, linkFile } from '#embedded-bins/bundle/files.ts'
import { writeLaunchers } from '#embedded-bins/bundle/launcher.ts'
import { bundleModules } from '#embedded-bins/bundle/modules.ts'
import { placeNode } from '#embedded-bins/bundle/node.ts'
import { linkPayload } from '#embedded-bins/bundle/payload.ts'
import { buildSqliteAddon } from '#embedded-bins/bundle/sqlite-addon.ts'

/**
 * Puts the product together in build/: the bundled TypeScript, the pinned Node.js, better-sqlite3's native part and, as
 * far as they have been built, the upstream programs and images. Takes seconds and changes only what is not up to date.
 */
async function main(): Promise<void> {
  const root = resolve(import.meta.dirname, '..')
  const build = resolve(root, 'build')
  const lib = resolve(build, 'lib')
  const moduleDir = resolve(lib, 'k0s')
  const started = performance.now()
  await mkdir(moduleDir, { recursive: true })
  const node = await placeNode(root, lib)
  const [modules] = await Promise.all([
    bundleModules({ root, moduleDir }),
    buildSqliteAddon({ root, jobs: availableParallelism() }).then((addon) =>
      linkFile(addon, resolve(moduleDir, 'better_sqlite3.node'), 0o644),
    ),
    linkTree(resolve(root, 'config'), resolve(lib, 'config'), (name) => !name.endsWith('.ts')),
  ])
  const programs = await linkPayload({ root, lib })
  await writeLaunchers(build)
  if (modules.changed) await warmCompileCache({ node, moduleDir, files: modules.files })
  const seconds = ((performance.now() - started) / 1_000).toFixed(1)
  const what = programs === 0 ? 'no upstream programs yet: make bins' : `${programs} names of upstream programs`
  process.stdout.write(`build/k0s: ${modules.files.length} modules, ${what} (${seconds} s)\n`)
}

try {
  await main()
} catch (err) {
  // esbuild has printed what it found; anything else has its reason in the message.
  process.stderr.write(`Error: no bundle: ${err instanceof Error ? (err.message.split('\n')[0] ?? '') : String(err)}\n`)
  process.exitCode = 1
}
