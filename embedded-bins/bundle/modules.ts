import { readdir, readFile, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type BuildOptions, type Plugin } from 'esbuild'
import { etcd3Protocol } from '#embedded-bins/bundle/etcd3.ts'
import { writeIfChanged } from '#embedded-bins/bundle/files.ts'

/** Where the sources are and where the modules go. */
export interface ModulesOptions {
  readonly root: string
  readonly moduleDir: string
}

/** Modules of an earlier bundle stay this long: a process that runs from them may still load one. */
const staleAfterMs = 24 * 3_600_000

/** CommonJS packages inside ES modules ask for these. */
const banner =
  "import{createRequire as k0sCreateRequire}from'node:module';import{dirname as k0sDirname}from'node:path';" +
  'const require=k0sCreateRequire(import.meta.url),__filename=import.meta.filename,__dirname=k0sDirname(__filename);'

/** First modules: the program, and what runs in worker threads. */
const entryPoints: Readonly<Record<string, string>> = {
  main: 'cmd/main.ts',
  'sqlite-worker': 'pkg/kine/dialect/sqlite/worker.ts',
}

/** Bundles cmd/ and all it needs, split so that each command loads only its part. */
export async function bundleModules(
  options: ModulesOptions,
): Promise<{ readonly files: readonly string[]; readonly changed: boolean }> {
  const { root, moduleDir } = options
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
  const { outputFiles } = await build({ ...settings(root, version), outdir: moduleDir })
  const names: string[] = []
  let changed = false
  // The entry comes last: whoever starts it finds its chunks.
  const sorted = outputFiles.toSorted((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)))
  for (const file of sorted) {
    changed = (await writeIfChanged(file.path, file.contents)) || changed
    names.push(file.path.slice(moduleDir.length + 1))
  }
  await removeStale(moduleDir, new Set(names))
  return { files: names.filter((name) => name.endsWith('.mjs')), changed }
}

function settings(root: string, version: string): BuildOptions & { write: false } {
  return {
    absWorkingDir: root,
    entryPoints: { ...entryPoints },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    outExtension: { '.js': '.mjs' },
    banner: { js: banner },
    define: { K0S_VERSION: JSON.stringify(version) },
    loader: { '.proto': 'text' },
    // Development tools that oclif and others load when they are there.
    external: ['typescript', 'ts-node', 'tsx', 'esbuild'],
    minify: true,
    // Errors are named after their class.
    keepNames: true,
    legalComments: 'none',
    sourcemap: 'linked',
    sourcesContent: false,
    plugins: [withoutWsl, etcd3Protocol],
    logLevel: 'warning',
    write: false,
  }
}

/**
 * oclif asks wsl-utils whether this is Windows' Linux, only to print it. Loading that package touches process.stdin,
 * among others, and takes a third of the time of --help.
 */
const withoutWsl: Plugin = {
  name: 'without-wsl',
  setup: (esbuild) => {
    esbuild.onResolve({ filter: /^wsl-utils$/ }, () => ({ path: 'wsl-utils', namespace: 'without-wsl' }))
    esbuild.onLoad({ filter: /.*/, namespace: 'without-wsl' }, () => ({ contents: 'export const isWsl = false' }))
  },
}

function isEntry(path: string): boolean {
  return Object.keys(entryPoints).some((name) => path.endsWith(`/${name}.mjs`))
}

async function removeStale(moduleDir: string, current: ReadonlySet<string>): Promise<void> {
  const now = Date.now()
  for (const name of await readdir(moduleDir)) {
    if (current.has(name) || !/\.mjs(\.map)?$/.test(name)) continue
    const path = join(moduleDir, name)
    if (now - (await stat(path)).mtimeMs > staleAfterMs) await rm(path, { force: true })
  }
}
