import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readBinTable, shippedFile, type BinTable } from '#pkg/assets/bins.ts'
import { layout, type Layout } from '#pkg/assets/layout.ts'
import { isPublic } from '#pkg/assets/public-path.ts'
import { canLink, stageFile } from '#pkg/assets/stage-file.ts'
import { modes } from '#pkg/constant/files.ts'
import { ensureDir } from '#pkg/file/directory.ts'

/** The executables of the product, put where supervised processes can run them. */
export interface Binaries {
  /**
   * Absolute path of an executable whose base name is `name`, ready to run: in `<data-dir>/bin`, or in `directory`.
   * Cheap when it is already there; safe with concurrent callers.
   *
   * @throws AssetError for a name that is not shipped; FileError when it cannot be written
   */
  stage(name: string, options?: StageBinaryOptions): Promise<string>
  /**
   * How to run this very product with a sub-command as a child, under whatever user: Node.js and the modules are
   * staged too, since the build may live where other users cannot read. Where no link can be made and all can read the
   * build, it runs from there.
   */
  self(command: string, args: readonly string[]): Promise<{ readonly path: string; readonly args: readonly string[] }>
}

/** Options of `Binaries.stage`. */
export interface StageBinaryOptions {
  readonly signal?: AbortSignal
  /** Instead of `<data-dir>/bin`, for example /opt/cni/bin; made with 0755 if missing. */
  readonly directory?: string
}

/** Where to stage to, and, in tests, from. */
export interface BinariesOptions {
  /** `<data-dir>/bin`. */
  readonly binDir: string
  readonly layout?: Layout
  /** Owner of what is staged. Default: the user of this process. */
  readonly uid?: number
  /** The Node.js executable; default: the running one. */
  readonly node?: string
  /** Flags of Node.js for child processes of the product. */
  readonly nodeArgs?: readonly string[]
}

/** Binaries of the running product, staged below `binDir`. */
export function createBinaries(options: BinariesOptions): Binaries {
  return new StagedBinaries(options)
}

const executable = 0o755
const readable = 0o644

class StagedBinaries implements Binaries {
  readonly #options: BinariesOptions
  readonly #layout: Layout
  readonly #uid: number
  #table: Promise<BinTable> | undefined
  /** Files that are being staged now, by their target. */
  readonly #staging = new Map<string, Promise<void>>()
  #product: Promise<{ readonly node: string; readonly entry: string }> | undefined

  constructor(options: BinariesOptions) {
    this.#options = options
    this.#layout = options.layout ?? layout()
    this.#uid = options.uid ?? process.getuid?.() ?? 0
  }

  async stage(name: string, { signal, directory = this.#options.binDir }: StageBinaryOptions = {}): Promise<string> {
    this.#table ??= readBinTable(this.#layout.libDir)
    const source = shippedFile(this.#layout.libDir, await this.#table, name)
    await ensureDir(directory, { mode: modes.binDir })
    signal?.throwIfAborted()
    // Names of one multi-call executable are links to the one staged file, so that a copy is made once at most.
    const main = join(directory, source.file)
    await this.#stageOnce(source.path, main)
    if (source.file === name) return main
    const target = join(directory, name)
    await this.#stageOnce(main, target)
    return target
  }

  /** Components that start together and run one executable wait for one copy of it. */
  async #stageOnce(source: string, target: string): Promise<void> {
    let staging = this.#staging.get(target)
    if (staging === undefined) {
      staging = stageFile(source, target, { mode: executable, uid: this.#uid })
      this.#staging.set(target, staging)
      void staging.catch(() => undefined).finally(() => this.#staging.delete(target)) // told to whoever waits
    }
    await staging
  }

  async self(command: string, args: readonly string[]): Promise<{ path: string; args: readonly string[] }> {
    this.#product ??= this.#stageProduct()
    const { node, entry } = await this.#product
    return { path: node, args: [...(this.#options.nodeArgs ?? childNodeArgs), entry, command, ...args] }
  }

  async #stageProduct(): Promise<{ node: string; entry: string }> {
    const node = this.#options.node ?? process.execPath
    // Unbundled sources cannot be staged: they need node_modules.
    if (!this.#layout.bundled) return { node, entry: this.#layout.entry }
    const moduleDir = join(this.#options.binDir, 'k0s')
    await ensureDir(this.#options.binDir, { mode: modes.binDir })
    // A copy of Node.js would be 100 MB of pages of its own; where everybody can read the original, it is shared.
    const { entry } = this.#layout
    if (!(await canLink(node, this.#options.binDir)) && (await isPublic(node)) && (await isPublic(entry))) {
      return { node, entry }
    }
    const stagedNode = join(this.#options.binDir, 'node')
    await Promise.all([
      stageFile(node, stagedNode, { mode: executable, uid: this.#uid }),
      this.#stageTree(this.#layout.moduleDir, moduleDir),
    ])
    return { node: stagedNode, entry: join(moduleDir, 'main.mjs') }
  }

  /** All files of a folder; what an earlier version left there goes. */
  async #stageTree(source: string, target: string): Promise<void> {
    await ensureDir(target, { mode: modes.binDir })
    const entries = await readdir(source, { withFileTypes: true })
    // Source maps are for people beside the build; children do not read them.
    const wanted = entries.filter(({ name }) => !name.endsWith('.map'))
    await Promise.all(
      wanted.map(async (entry) => {
        const [from, to] = [join(source, entry.name), join(target, entry.name)]
        if (entry.isDirectory()) await this.#stageTree(from, to)
        else await stageFile(from, to, { mode: readable, uid: this.#uid })
      }),
    )
    const names = new Set(wanted.map(({ name }) => name))
    const stale = (await readdir(target)).filter((name) => !names.has(name) && !name.endsWith('.tmp'))
    await Promise.all(stale.map((name) => rm(join(target, name), { recursive: true, force: true })))
  }
}

/** Children serve sockets and little else: a small young generation keeps their heaps from growing between collections. */
const childNodeArgs = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=4'] as const
