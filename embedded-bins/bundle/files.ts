import { chmod, copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Makes `target` the same file as `source` by a hard link (a copy across file systems); true if that changed it. */
export async function linkFile(source: string, target: string, mode: number): Promise<boolean> {
  const [from, to] = await Promise.all([stat(source), stat(target).catch(() => undefined)])
  const same = to !== undefined && ((to.ino === from.ino && to.dev === from.dev) || isCopy(from, to))
  if (same && (to.mode & 0o7777) === mode) return false
  await mkdir(dirname(target), { recursive: true })
  await replace(target, async (temporary) => {
    // A source that others may write is copied: what runs as root must not be theirs to change.
    const linked =
      (from.mode & 0o7777) === mode &&
      (await link(source, temporary).then(
        () => true,
        () => false,
      ))
    if (!linked) await copyFile(source, temporary)
    if (!linked) await chmod(temporary, mode)
  })
  return true
}

function isCopy(from: { size: number; mtimeMs: number }, to: { size: number; mtimeMs: number }): boolean {
  return from.size === to.size && to.mtimeMs >= from.mtimeMs
}

/** Writes a file unless it has this content already; true if it did not. */
export async function writeIfChanged(path: string, content: string | Uint8Array, mode = 0o644): Promise<boolean> {
  const wanted = Buffer.from(content)
  const present = await readFile(path).catch(() => undefined)
  if (present?.equals(wanted) === true && ((await stat(path)).mode & 0o7777) === mode) return false
  await mkdir(dirname(path), { recursive: true })
  await replace(path, async (temporary) => {
    await writeFile(temporary, wanted)
    await chmod(temporary, mode)
  })
  return true
}

/** Mirrors the files of a folder that `filter` admits, and removes what is not there any more. */
export async function linkTree(source: string, target: string, filter: (name: string) => boolean): Promise<void> {
  const entries = await readdir(source, { withFileTypes: true, recursive: true }).catch(() => [])
  const files = entries.filter((entry) => entry.isFile() && filter(entry.name)).map((e) => join(e.parentPath, e.name))
  const wanted = new Set(files.map((file) => join(target, file.slice(source.length + 1))))
  for (const file of files) {
    await writeIfChanged(join(target, file.slice(source.length + 1)), await readFile(file))
  }
  const present = await readdir(target, { withFileTypes: true, recursive: true }).catch(() => [])
  const stale = present.filter((e) => e.isFile()).map((e) => join(e.parentPath, e.name))
  await Promise.all(stale.filter((file) => !wanted.has(file)).map((file) => rm(file, { force: true })))
}

/** Fills a temporary file beside `target` and renames it: nobody sees half of it, whoever runs the old one keeps it. */
async function replace(target: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.tmp`)
  try {
    await fill(temporary)
    await rename(temporary, target)
  } finally {
    await rm(temporary, { force: true })
  }
}
