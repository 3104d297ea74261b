import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { layout, type Layout } from '#pkg/assets/layout.ts'

/** Set by the bundler; absent when the sources run unbundled. */
declare const K0S_VERSION: string | undefined

/** Version of this product, `<Kubernetes version>-k0s.<n>`. */
export function productVersion(): string {
  if (typeof K0S_VERSION === 'string') return K0S_VERSION
  const { version } = JSON.parse(readFileSync(join(layout().moduleDir, 'package.json'), 'utf8')) as { version: string }
  return version
}

/** Directory of V8's compiled code, shipped with the bundle; undefined when there is none. */
export function compileCacheDir(): string | undefined {
  const { bundled, moduleDir } = layout()
  const dir = join(moduleDir, 'compile-cache')
  return bundled && existsSync(dir) ? dir : undefined
}

/** What `k0s kine` starts its SQLite threads from. */
export interface SqliteFiles {
  /** Module of the thread. */
  readonly worker: string
  /** better_sqlite3.node */
  readonly binding: string
}

/** The files of the SQLite threads, for pkg/kine. */
export function sqliteFiles(from: Layout = layout()): SqliteFiles {
  const worker = from.bundled
    ? join(from.moduleDir, 'sqlite-worker.mjs')
    : join(from.moduleDir, 'pkg/kine/dialect/sqlite/worker.ts')
  return { worker, binding: from.sqliteAddon }
}
