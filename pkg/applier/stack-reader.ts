import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { identity, parseManifest } from '#pkg/applier/manifest.ts'
import { errorMessage, errnoCode } from '#pkg/errors/error.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** One folder of manifests. */
export interface Stack {
  readonly name: string
  /** By `identity`; of two files with the same object the later name wins. */
  readonly objects: ReadonlyMap<string, KubeObject>
  /** Every file could be read: what is not in `objects` is really gone. Nothing is pruned otherwise. */
  readonly complete: boolean
  /** What is wrong with files, one line each. */
  readonly problems: readonly string[]
}

/** A valid label value (RFC 1123 with `_` and `.`), since the name becomes one. */
const STACK_NAME = /^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/

/**
 * Reads `<manifests>/<stack>/*.yaml`: one level, this suffix only, as k0s. Keeps what it parsed while a file stays the
 * same.
 */
export class StackReader {
  readonly #manifestsDir: string
  #parsed = new Map<string, ParsedFile>()

  constructor(options: { readonly manifestsDir: string }) {
    this.#manifestsDir = options.manifestsDir
  }

  /** All stacks by name. @throws when the manifests directory itself cannot be read: then nothing is known. */
  async read(): Promise<ReadonlyMap<string, Stack>> {
    const names = (await readdir(this.#manifestsDir)).sort()
    const seen = new Map<string, ParsedFile>()
    const stacks = new Map<string, Stack>()
    for (const name of names) {
      const stack = await this.#readStack(name, seen)
      if (stack !== undefined) stacks.set(name, stack)
    }
    this.#parsed = seen
    return stacks
  }

  async #readStack(name: string, seen: Map<string, ParsedFile>): Promise<Stack | undefined> {
    const folder = join(this.#manifestsDir, name)
    const nothing = { name, objects: new Map<string, KubeObject>(), complete: false }
    try {
      if (name.startsWith('.') || !(await stat(folder)).isDirectory()) return undefined
      if (!STACK_NAME.test(name)) {
        return { ...nothing, problems: [`${folder}: not a valid stack name; use letters, digits and dashes`] }
      }
      const files = (await readdir(folder)).filter((file) => file.endsWith('.yaml') && !file.startsWith('.')).sort()
      return assemble(name, await Promise.all(files.map((file) => this.#readFile(join(folder, file), seen))))
    } catch (thrown) {
      if (errnoCode(thrown) === 'ENOENT') return undefined // removed meanwhile
      return { ...nothing, problems: [`${folder}: cannot be read: ${errorMessage(thrown)}`] }
    }
  }

  async #readFile(path: string, seen: Map<string, ParsedFile>): Promise<ParsedFile> {
    const parsed = await this.#parse(path)
    seen.set(path, parsed)
    return parsed
  }

  async #parse(path: string): Promise<ParsedFile> {
    try {
      const { mtimeMs, ctimeMs, size, ino } = await stat(path)
      const version = [mtimeMs, ctimeMs, size, ino].join()
      const known = this.#parsed.get(path)
      if (known !== undefined && known.version === version) return known
      return parseFile(path, await readFile(path, 'utf8'), version)
    } catch (thrown) {
      return { version: '', objects: [], problem: `${path}: cannot be read: ${errorMessage(thrown)}` }
    }
  }
}

interface ParsedFile {
  /** Changes when the file does. */
  readonly version: string
  readonly objects: readonly KubeObject[]
  readonly problem?: string
}

function parseFile(path: string, text: string, version: string): ParsedFile {
  try {
    return { version, objects: parseManifest(text, path) }
  } catch (thrown) {
    return { version, objects: [], problem: errorMessage(thrown) }
  }
}

function assemble(name: string, files: readonly ParsedFile[]): Stack {
  const problems = files.flatMap(({ problem }) => (problem === undefined ? [] : [problem]))
  const objects = new Map(files.flatMap((file) => file.objects).map((object) => [identity(object), object]))
  return { name, objects, complete: problems.length === 0, problems }
}
