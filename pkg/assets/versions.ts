import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { AssetError } from '#pkg/assets/errors.ts'
import { layout } from '#pkg/assets/layout.ts'
import { errorMessage } from '#pkg/errors/error.ts'

/** Version of each upstream component that this build ships, by its name. @throws AssetError */
export async function componentVersions(): Promise<Readonly<Record<string, string>>> {
  const file = await versionsFile()
  return Object.fromEntries(
    Object.entries(file)
      .filter((entry): entry is [string, string] => typeof entry[1] === 'string')
      .map(([name, version]) => [name, version.replace(/^v/, '')]),
  )
}

/** The reference of each image that this build ships, by its name (`pause`, `coredns`, …). @throws AssetError */
export async function imageReferences(): Promise<Readonly<Record<string, string>>> {
  const { images } = await versionsFile()
  return typeof images === 'object' ? images : {}
}

async function versionsFile(): Promise<Readonly<Record<string, string | Readonly<Record<string, string>>>>> {
  const { bundled, libDir, moduleDir } = layout()
  const path = bundled ? join(libDir, 'versions.json') : join(moduleDir, 'embedded-bins', 'versions.json')
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Readonly<Record<string, string | Record<string, string>>>
  } catch (cause) {
    throw new AssetError(`cannot read the list of versions ${path}: ${errorMessage(cause)}; install k0s again`, {
      cause,
    })
  }
}
