import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AssetError } from '#pkg/assets/errors.ts'
import { layout } from '#pkg/assets/layout.ts'
import { errorMessage } from '#pkg/errors/error.ts'

/** One OCI archive that the product ships. */
export interface ImageArchive {
  /** `pause`, `coredns`, `metrics-server`. */
  readonly name: string
  /** The reference that pods name. */
  readonly ref: string
  /** Absolute path of the OCI layout as a tar. */
  readonly path: string
}

/** The shipped archives, to be imported at worker start. Images that a development build has not made yet are left out. */
export async function imageArchives(libDir: string = layout().libDir): Promise<readonly ImageArchive[]> {
  const table = await readImageTable(libDir)
  return Object.entries(table)
    .map(([name, { ref, file }]) => ({ name, ref, path: join(libDir, file) }))
    .filter(({ path }) => existsSync(path))
}

/** images.json: name to reference, and file relative to the folder of the table. */
type ImageTable = Readonly<Record<string, { readonly ref: string; readonly file: string }>>

async function readImageTable(libDir: string): Promise<ImageTable> {
  const path = join(libDir, 'images.json')
  try {
    return JSON.parse(await readFile(path, 'utf8')) as ImageTable
  } catch (cause) {
    throw new AssetError(
      `the images of this build are missing (${path}: ${errorMessage(cause)}); run "make" in the checkout, or install k0s again`,
      { cause },
    )
  }
}
