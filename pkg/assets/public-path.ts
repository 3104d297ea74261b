import { stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Whether every user of the host can read `path`: the file itself, and through every folder above it. */
export async function isPublic(path: string): Promise<boolean> {
  const { mode } = await stat(path)
  if ((mode & 0o004) === 0) return false
  for (let folder = dirname(path); ; folder = dirname(folder)) {
    if (((await stat(folder)).mode & 0o001) === 0) return false
    if (folder === dirname(folder)) return true
  }
}
