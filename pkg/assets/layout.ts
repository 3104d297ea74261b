import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** Where the files of the product are: beside the bundle, or in a checkout during development. */
export interface Layout {
  /** False when the sources run unbundled. */
  readonly bundled: boolean
  /** First module of the product: what Node.js is started with. */
  readonly entry: string
  /** Folder of the bundle's modules; the sources' root when unbundled. */
  readonly moduleDir: string
  /** better-sqlite3's native part, compiled for the pinned Node.js. */
  readonly sqliteAddon: string
  /** Holds `bin/`, `bins.json`, `images/`, `manifests/`, `versions.json`. */
  readonly libDir: string
  /** Static files of the sources' config/ folder. */
  readonly configDir: string
}

/** Finds the files once more on every call; nothing is read. The only use of `import.meta` for that in the product. */
export function layout(here: string = import.meta.dirname): Layout {
  if (import.meta.filename.endsWith('.mjs')) return bundledLayout(here)
  return developmentLayout(resolve(here, '../..'))
}

/** The product as built: `<lib>/k0s/*.mjs`. */
export function bundledLayout(moduleDir: string): Layout {
  const libDir = resolve(moduleDir, '..')
  return {
    bundled: true,
    entry: join(moduleDir, 'main.mjs'),
    moduleDir,
    sqliteAddon: join(moduleDir, 'better_sqlite3.node'),
    libDir,
    configDir: join(libDir, 'config'),
  }
}

/** A checkout: what was built, else what the binaries' build staged. */
export function developmentLayout(root: string): Layout {
  const built = join(root, 'build', 'lib')
  return {
    bundled: false,
    entry: join(root, 'cmd', 'main.ts'),
    moduleDir: root,
    sqliteAddon: join(built, 'k0s', 'better_sqlite3.node'),
    libDir: existsSync(join(built, 'bins.json')) ? built : join(root, 'embedded-bins', 'staging'),
    configDir: join(root, 'config'),
  }
}
