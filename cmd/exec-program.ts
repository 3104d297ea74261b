import { AssetError } from '#pkg/assets/errors.ts'
import { errorMessage } from '#pkg/errors/error.ts'

/**
 * Becomes the shipped program `name`: same process, terminal, signals and exit code. Does not return.
 *
 * @throws AssetError when this build has no such program or it cannot be run
 */
export async function execProgram(
  name: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<never> {
  const [{ readBinTable, shippedFile }, { layout }] = await Promise.all([
    import('#pkg/assets/bins.ts'),
    import('#pkg/assets/layout.ts'),
  ])
  const { libDir } = layout()
  const { path } = shippedFile(libDir, await readBinTable(libDir), name)
  const defined = Object.fromEntries(
    Object.entries(env).filter(([key, value]) => value !== undefined && key !== '_K0S_SELF'),
  )
  try {
    process.execve?.(path, [name, ...args], defined)
  } catch (cause) {
    throw new AssetError(`cannot run ${path}: ${errorMessage(cause)}; install k0s again`, { cause })
  }
  throw new AssetError(`cannot run ${path}: this platform cannot replace a process`)
}
