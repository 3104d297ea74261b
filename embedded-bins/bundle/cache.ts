import { mkdir } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** A folder of the user's cache, for what takes long to make and depends on versions only. */
export async function cacheFolder(name: string): Promise<string> {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  const folder = join(base, 'k0s-build', name)
  await mkdir(folder, { recursive: true })
  return folder
}
