import { join } from 'node:path'
import { AssetError } from '#pkg/assets/errors.ts'
import { readTable } from '#pkg/assets/table.ts'

/** bins.json: every name that may be run, and the shipped file that answers to it. */
export type BinTable = Readonly<Record<string, { readonly file: string }>>

/** Reads the table of the shipped executables. @throws AssetError when it is missing */
export async function readBinTable(libDir: string): Promise<BinTable> {
  return (await readTable(libDir, 'bins.json', 'executables')) as BinTable
}

/** The shipped file that answers to `name`. @throws AssetError for a name that is not shipped */
export function shippedFile(
  libDir: string,
  table: BinTable,
  name: string,
): { readonly file: string; readonly path: string } {
  const entry = Object.hasOwn(table, name) ? table[name] : undefined
  if (entry === undefined) {
    throw new AssetError(
      `this build ships no executable "${name}" (it has ${Object.keys(table).join(', ')}); build all of it with "make"`,
    )
  }
  return { file: entry.file, path: join(libDir, 'bin', entry.file) }
}
