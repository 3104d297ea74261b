import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AssetError } from '#pkg/assets/errors.ts'
import { errorMessage } from '#pkg/errors/error.ts'

/** Reads a table of what the product ships, JSON. @throws AssetError saying `what` is missing */
export async function readTable(libDir: string, name: string, what: string): Promise<unknown> {
  const path = join(libDir, name)
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch (cause) {
    throw new AssetError(
      `the ${what} of this build are missing (${path}: ${errorMessage(cause)}); run "make" in the checkout, or install k0s again`,
      { cause },
    )
  }
}
