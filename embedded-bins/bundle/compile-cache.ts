import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/** They run when imported; the chunks only define things. */
const entryModules = new Set(['main.mjs', 'sqlite-worker.mjs'])

/** What to compile, and with what. */
export interface CompileCacheOptions {
  readonly node: string
  readonly moduleDir: string
  readonly files: readonly string[]
}

/**
 * Runs the new bundle once so that V8's compiled code of every module is shipped beside it. It is keyed by content, so
 * a stale entry is only unused; a missing one costs time, nothing else.
 */
export async function warmCompileCache({ node, moduleDir, files }: CompileCacheOptions): Promise<void> {
  const target = join(moduleDir, 'compile-cache')
  const fresh = join(moduleDir, `.compile-cache.${process.pid}`)
  await rm(fresh, { recursive: true, force: true })
  await mkdir(fresh, { recursive: true })
  try {
    const env = { ...process.env, NODE_COMPILE_CACHE: fresh, NODE_COMPILE_CACHE_PORTABLE: '1' }
    // Each entry keeps the functions that ran in the process that wrote it: the help first, for its speed.
    await run(node, [join(moduleDir, 'main.mjs'), '--help'], env)
    const modules = files.filter((name) => !entryModules.has(name)).map((name) => join(moduleDir, name))
    await run(
      node,
      ['--input-type=module', '-e', 'for (const m of process.argv.slice(1)) await import(m)', ...modules],
      env,
    )
    if ((await readdir(fresh)).length === 0) return
    await rm(target, { recursive: true, force: true })
    await rename(fresh, target)
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

async function run(node: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<void> {
  const child = spawn(node, args, { env, stdio: ['ignore', 'ignore', 'pipe'] })
  const errors: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0)
    throw new Error(`the new bundle does not run: ${Buffer.concat(errors).toString('utf8').slice(-2_000)}`)
}
