import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'

import { cCompiler, cVersions, requireC } from '#embedded-bins/c-toolchain.ts'
import { sha256OfFile } from '#embedded-bins/output-cache.ts'
import { runCommand } from '#embedded-bins/run-command.ts'
import { BuildError } from '#embedded-bins/step.ts'
import type { Step, StepContext } from '#embedded-bins/step.ts'
import { versions } from '#embedded-bins/versions.ts'

/** Debian's archive has the source; the checksum says which, whatever revision Debian is at. */
const SUITE = 'bookworm'
const SOURCE_SHA256 = 'c61940d874154a560a54627ecf7ef47adebdf832164368d10bf242a4d9b7d49d'
/** For the authentication of VRRP; by its pkg-config name. */
const libraries = ['libcrypto'] as const
/** VRRP and nothing else: addresses are moved, connections are balanced by k0s itself. */
const configure = [
  '--disable-lvs',
  '--disable-iptables',
  '--disable-nftables',
  '--disable-systemd',
  '--disable-linkbeat',
  '--disable-dynamic-linking',
  'CFLAGS=-O2',
  'LDFLAGS=-static -s',
] as const

/** keepalived, the program that moves virtual addresses between controllers, in C. */
export function keepalivedStep(): Step {
  return {
    name: 'keepalived',
    group: 'keepalived',
    output: 'bin/keepalived',
    forTests: false,
    onRequest: true,
    coldSeconds: 40,
    prepare: (context) => requireC(libraries, context),
    material: async () => [versions.keepalived, SOURCE_SHA256, configure, await cVersions(libraries)],
    make: async (path, context) => {
      const folder = await mkdtemp(join(tmpdir(), 'keepalived-'))
      try {
        await unpackSource(folder, context)
        const cwd = join(folder, `keepalived-${versions.keepalived}`)
        await run(['./configure', '--quiet', `CC=${cCompiler}`, ...configure], cwd, context)
        await run(['make', '--silent', `--jobs=${availableParallelism()}`], cwd, context)
        await copyFile(join(cwd, 'bin', 'keepalived'), path)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}

/** By apt with lists of its own: the machine's sources need not have any source packages, and are not changed. */
async function unpackSource(folder: string, context: StepContext): Promise<void> {
  const list = join(folder, 'sources.list')
  await writeFile(list, `deb-src http://deb.debian.org/debian ${SUITE} main\n`)
  for (const name of ['lists', 'cache/archives/partial']) await mkdir(join(folder, name), { recursive: true })
  const options = {
    'Dir::Etc::sourcelist': list,
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(folder, 'lists'),
    'Dir::Cache': join(folder, 'cache'),
    'APT::Sandbox::User': 'root',
  }
  const apt = ['apt-get', '-qq', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])]
  await run([...apt, 'update'], folder, context)
  await run([...apt, 'source', '--download-only', '--tar-only', 'keepalived'], folder, context)
  const archive = (await readdir(folder)).find((name) => name.endsWith('.orig.tar.gz'))
  if (archive === undefined) throw new BuildError('apt-get fetched no source of keepalived')
  const sha256 = await sha256OfFile(join(folder, archive))
  if (sha256 !== SOURCE_SHA256) {
    throw new BuildError(
      `${archive} has the SHA-256 ${sha256}, expected ${SOURCE_SHA256} (keepalived ${versions.keepalived})`,
    )
  }
  await run(['tar', '--extract', '--file', archive], folder, context)
}

/** Runs a program whose output is of interest only when it fails. */
async function run(argv: readonly string[], cwd: string, { signal, log }: StepContext): Promise<void> {
  const onErrorLine = (line: string): void => log(`${line}\n`)
  await runCommand({ argv: ['sh', '-c', 'exec "$@" >&2', 'sh', ...argv], cwd, onErrorLine }, signal)
}
