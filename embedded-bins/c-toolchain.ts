import { runCommand } from '#embedded-bins/run-command.ts'
import { BuildError } from '#embedded-bins/step.ts'
import type { StepContext } from '#embedded-bins/step.ts'

/** The C compiler; CC names another one, for instance to build for another architecture. */
export const cCompiler = process.env['CC'] ?? 'gcc'

/** Debian's packages by the library's pkg-config name. */
const debianPackages: Readonly<Record<string, string>> = { libcrypto: 'libssl-dev', libseccomp: 'libseccomp-dev' }

/** The versions of the C compiler and of libraries, by their pkg-config names. */
export async function cVersions(libraries: readonly string[]): Promise<readonly string[]> {
  const { signal } = new AbortController()
  const compiler = await runCommand({ argv: [cCompiler, '-dumpfullversion', '-dumpmachine'] }, signal)
  if (libraries.length === 0) return [compiler]
  return [compiler, await runCommand({ argv: ['pkg-config', '--modversion', ...libraries] }, signal)]
}

/**
 * Returns once a C compiler and the libraries are there; root gets them installed from Debian.
 * @throws BuildError naming the packages that are missing.
 */
export async function requireC(libraries: readonly string[], { signal, progress, log }: StepContext): Promise<void> {
  const installed = await cVersions(libraries).then(
    () => true,
    () => false,
  )
  if (installed) return
  const packages = ['gcc', 'libc6-dev', 'pkg-config', ...libraries.map((library) => debianPackages[library] ?? library)]
  const install = `apt-get install ${packages.join(' ')}`
  if (process.getuid?.() !== 0) throw new BuildError(`the C compiler or a library is missing; as root run: ${install}`)
  progress(install)
  const apt = { env: { DEBIAN_FRONTEND: 'noninteractive' }, onErrorLine: (line: string) => log(`${line}\n`) }
  try {
    await runCommand({ argv: ['apt-get', 'update', '-qq'], ...apt }, signal)
    await runCommand(
      { argv: ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...packages], ...apt },
      signal,
    )
  } catch (error) {
    signal.throwIfAborted()
    throw new BuildError(`the C compiler or a library is missing, and "${install}" failed:\n${String(error)}`)
  }
}
