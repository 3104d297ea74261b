import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { layout } from '#pkg/assets/layout.ts'
import { readTable } from '#pkg/assets/table.ts'

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
  const table = (await readTable(libDir, 'images.json', 'images')) as ImageTable
  return Object.entries(table)
    .map(([name, { ref, file }]) => ({ name, ref, path: join(libDir, file) }))
    .filter(({ path }) => existsSync(path))
}

/** images.json: name to reference, and file relative to the folder of the table. */
type ImageTable = Readonly<Record<string, { readonly ref: string; readonly file: string }>>
