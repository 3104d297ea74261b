import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { cVersions, requireC } from '#embedded-bins/c-toolchain.ts'
import { goPrograms, programFolders } from '#embedded-bins/programs.ts'
import type { GoProgram } from '#embedded-bins/programs.ts'
import { runCommand } from '#embedded-bins/run-command.ts'
import { BuildError } from '#embedded-bins/step.ts'
import type { StepContext, Step } from '#embedded-bins/step.ts'

/** The compiler that everything is built with, asked once. */
export interface Toolchain {
  readonly goVersion: string
  readonly goarch: string
}

/**
 * Asks the Go on PATH for its version.
 * @throws BuildError if there is none.
 */
export async function findToolchain(folder: string, signal: AbortSignal): Promise<Toolchain> {
  const output = await runCommand(
    { argv: ['go', 'env', 'GOVERSION', 'GOARCH'], cwd: folder, env: { GOWORK: 'off', GOOS: 'linux' } },
    signal,
  ).catch((error: unknown) => {
    throw new BuildError(`Go is needed to build the upstream programs; install Go 1.26 or newer.\n${String(error)}`)
  })
  const [goVersion = '', goarch = ''] = output.trim().split('\n')
  return { goVersion, goarch }
}

/** One step for every Go program. */
export function goSteps(folder: string, toolchain: Toolchain): readonly Step[] {
  return goPrograms.map((program) => ({
    name: program.name,
    group: program.group,
    output: `${programFolders[program.use]}/${program.name}`,
    forTests: program.use === 'test' || program.use === 'test-image',
    onRequest: program.use === 'bench',
    coldSeconds: program.coldSeconds,
    ...(program.cgo && { prepare: (context: StepContext) => requireC(program.cgo?.libraries ?? [], context) }),
    material: async () => [
      toolchain,
      goArguments(program),
      await sources(join(folder, program.group), program.package),
      program.cgo && (await cVersions(program.cgo.libraries)),
      ...(program.cgo?.flags ?? []),
    ],
    make: (path, context) => compile(join(folder, program.group), program, path, context),
  }))
}

/** The arguments of `go build` without the output: pure, and part of what an output is known by. */
export function goArguments(program: GoProgram): readonly string[] {
  const variables = Object.entries(program.variables ?? {}).map(([name, value]) => `-X ${name}=${value}`)
  const linkerFlags = ['-s', '-w', ...variables, ...(program.cgo ? ['-extldflags -static'] : [])]
  return [
    '-mod=readonly',
    '-buildvcs=false',
    '-trimpath',
    ...(program.cgo ? ['-tags', program.cgo.tags] : []),
    '-ldflags',
    linkerFlags.join(' '),
    program.package,
  ]
}

/** What `go build -v` prints for each package that it compiles. */
const PACKAGE_NAME = /^[\w.~/-]+$/

async function compile(folder: string, program: GoProgram, path: string, context: StepContext): Promise<void> {
  let compiled = 0
  await runCommand(
    {
      argv: ['go', 'build', '-v', '-o', path, ...goArguments(program)],
      cwd: folder,
      env: {
        GOOS: 'linux',
        GOWORK: 'off',
        GOFLAGS: '',
        CGO_ENABLED: program.cgo ? '1' : '0',
        ...(program.cgo?.flags && { CGO_CFLAGS: ['-O2', '-g', ...program.cgo.flags].join(' ') }),
      },
      noise: PACKAGE_NAME,
      onErrorLine: (line) => {
        context.log(`${line}\n`)
        if (!line.startsWith('go: ')) compiled += 1
        context.progress(line.startsWith('go: ') ? line.slice(4) : `${compiled} packages compiled, now ${line}`)
      },
    },
    context.signal,
  )
}

/** What the compiler reads besides the modules that go.sum verifies. */
async function sources(folder: string, packagePath: string): Promise<readonly (readonly [string, string])[]> {
  const own = packagePath.startsWith('.') ? join(folder, packagePath) : undefined
  const goFiles = own === undefined ? [] : (await readdir(own)).filter((name) => name.endsWith('.go')).sort()
  const paths = [join(folder, 'go.mod'), join(folder, 'go.sum'), ...goFiles.map((name) => join(own ?? '', name))]
  return Promise.all(paths.map(async (path) => [path.slice(folder.length), await readFile(path, 'utf8')] as const))
}
