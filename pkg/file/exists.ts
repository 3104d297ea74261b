import { stat } from 'node:fs/promises'

/** Whether something is at `path`; false also where that cannot be told. Links are followed. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Whether a directory is at `path`; false also where that cannot be told. */
export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  )
}
