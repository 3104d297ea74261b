import { createHash } from 'node:crypto'
import { constants, createReadStream } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** How many outputs of one step are kept: going back to the former commit must not compile anything. */
const KEPT_PER_STEP = 3

/** What is known about a finished output in staging/. */
interface Stamp {
  readonly key: string
  readonly sha256: string
  readonly sizeBytes: number
  readonly modifiedMs: number
}

/**
 * The finished outputs: in staging/, with a stamp each that says what they were made from, and once more in the user's
 * cache, so that another checkout of the same sources only copies them. Both change by rename only: what is there is whole.
 */
export class OutputCache {
  readonly #stagingDir: string
  readonly #cacheDir: string

  constructor(options: { readonly stagingDir: string; readonly cacheDir: string }) {
    this.#stagingDir = options.stagingDir
    this.#cacheDir = options.cacheDir
  }

  /** The SHA-256 of the output if staging/ has it and it was made from `key`. */
  async current(name: string, output: string, key: string): Promise<string | undefined> {
    const stamp = await readJson<Stamp>(this.#stampPath(name))
    if (stamp?.key !== key) return undefined
    const found = await stat(join(this.#stagingDir, output)).catch(() => undefined)
    return found?.size === stamp.sizeBytes && found.mtimeMs === stamp.modifiedMs ? stamp.sha256 : undefined
  }

  /** Copies the output from the user's cache; undefined if it is not there or not what was put there. */
  async restore(name: string, output: string, key: string): Promise<string | undefined> {
    const entry = this.#entryPath(name, key)
    const expected = await readFile(join(entry, 'sha256'), 'utf8').catch(() => undefined)
    if (expected === undefined) return undefined
    const temporaryPath = this.temporaryPath(output)
    try {
      await mkdir(dirname(temporaryPath), { recursive: true })
      await copyFile(join(entry, 'file'), temporaryPath, constants.COPYFILE_FICLONE)
      if ((await sha256OfFile(temporaryPath)) === expected) {
        const now = new Date()
        await utimes(entry, now, now) // the oldest by use are dropped first
        return await this.#publish(name, output, { key, temporaryPath, sha256: expected })
      }
    } catch {
      // An entry that cannot be read is as good as none.
    }
    await rm(temporaryPath, { force: true })
    await rm(entry, { recursive: true, force: true })
    return undefined
  }

  /** Puts a finished file, written at `temporaryPath(output)`, in place and into the user's cache. */
  async store(name: string, output: string, key: string): Promise<string> {
    const temporaryPath = this.temporaryPath(output)
    const sha256 = await sha256OfFile(temporaryPath)
    await this.#remember(name, key, { path: temporaryPath, sha256 })
    return this.#publish(name, output, { key, temporaryPath, sha256 })
  }

  /** Where an output is written before it is complete: beside its place, so that a rename moves it there. */
  temporaryPath(output: string): string {
    return join(this.#stagingDir, `${output}.${process.pid}.tmp`)
  }

  async #publish(
    name: string,
    output: string,
    made: { readonly key: string; readonly temporaryPath: string; readonly sha256: string },
  ): Promise<string> {
    const path = join(this.#stagingDir, output)
    await rename(made.temporaryPath, path)
    const { size, mtimeMs } = await stat(path)
    const stamp: Stamp = { key: made.key, sha256: made.sha256, sizeBytes: size, modifiedMs: mtimeMs }
    await writeAtomically(this.#stampPath(name), JSON.stringify(stamp))
    return made.sha256
  }

  async #remember(name: string, key: string, made: { readonly path: string; readonly sha256: string }): Promise<void> {
    const entry = this.#entryPath(name, key)
    const temporaryEntry = `${entry}.${process.pid}.tmp`
    await mkdir(temporaryEntry, { recursive: true })
    await copyFile(made.path, join(temporaryEntry, 'file'), constants.COPYFILE_FICLONE)
    await writeFile(join(temporaryEntry, 'sha256'), made.sha256)
    await rm(entry, { recursive: true, force: true })
    try {
      await rename(temporaryEntry, entry)
    } catch {
      await rm(temporaryEntry, { recursive: true, force: true }) // another checkout put the same there first
    }
    await this.#dropOld(name)
  }

  async #dropOld(name: string): Promise<void> {
    const entries = (await readdir(this.#cacheDir)).filter((entry) => entry.replace(/-[0-9a-f]{40}$/, '') === name)
    const used = await Promise.all(
      entries.map(async (entry) => ({ entry, at: (await stat(join(this.#cacheDir, entry))).mtimeMs })),
    )
    used.sort((a, b) => b.at - a.at)
    for (const { entry } of used.slice(KEPT_PER_STEP)) {
      await rm(join(this.#cacheDir, entry), { recursive: true, force: true })
    }
  }

  #stampPath(name: string): string {
    return join(this.#stagingDir, '.stamps', `${name}.json`)
  }

  #entryPath(name: string, key: string): string {
    return join(this.#cacheDir, `${name}-${key}`)
  }
}

/** SHA-256 of a file's content in hex. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

/** Writes a small file so that a reader sees the former or the new content, never a part. */
export async function writeAtomically(path: string, content: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const temporaryPath = `${path}.${process.pid}.tmp`
  await writeFile(temporaryPath, content)
  await chmod(temporaryPath, mode)
  await rename(temporaryPath, path)
}

async function readJson<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T
  } catch {
    return undefined
  }
}
