import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { runCommand } from '#embedded-bins/run-command.ts'
import type { Step, StepContext } from '#embedded-bins/step.ts'

const SUITE = 'bookworm'
/** What the product needs of a host beside the init system. */
const hostPackages = ['iproute2', 'nftables', 'iptables', 'conntrack', 'ipset', 'procps', 'libstdc++6']
/** Packages that make a Debian host of each init system. */
const initPackages = {
  systemd: ['systemd', 'systemd-sysv'],
  openrc: ['sysvinit-core', 'openrc'],
} as const
/** What no test looks at, and half of the size. */
const unneeded = [
  ...['doc', 'man', 'locale', 'info'].map((name) => `usr/share/${name}`),
  ...['archives', 'pkgcache.bin', 'srcpkgcache.bin'].map((name) => `var/cache/apt/${name}`),
]
const BASE = 'rootfs-base'

/** Root file systems of whole hosts, for the tests that need an init system as PID 1: a tar archive each. */
export function rootfsSteps(): readonly Step[] {
  return [baseStep(), ...(Object.keys(initPackages) as (keyof typeof initPackages)[]).map(initStep)]
}

/** Debian without an init system. */
function baseStep(): Step {
  return {
    name: BASE,
    group: 'rootfs',
    output: 'rootfs/base.tar',
    forTests: true,
    onRequest: true,
    coldSeconds: 90,
    material: () => Promise.resolve([SUITE, hostPackages, unneeded]),
    make: async (path, context) => {
      await inFolder(async (root) => {
        const include = `--include=${hostPackages.join(',')}`
        await run(['debootstrap', '--variant=minbase', include, SUITE, root], context)
        await pack(root, path, context)
      })
    },
  }
}

/** The init system is installed by apt: debootstrap does not choose among alternatives. */
function initStep(init: keyof typeof initPackages): Step {
  const packages = initPackages[init]
  return {
    name: `rootfs-${init}`,
    group: 'rootfs',
    output: `rootfs/${init}.tar`,
    forTests: true,
    onRequest: true,
    coldSeconds: 30,
    material: (outputs) => Promise.resolve([outputs.sha256(BASE), packages, unneeded]),
    make: async (path, context) => {
      await inFolder(async (root) => {
        await run(['tar', '--extract', '--file', context.outputs.path(BASE), '--directory', root], context)
        await writeFile(join(root, 'usr/sbin/policy-rc.d'), '#!/bin/sh\nexit 101\n', { mode: 0o755 })
        const apt = ['chroot', root, 'env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-qq']
        await run([...apt, 'update'], context)
        await run([...apt, 'install', '-y', '--no-install-recommends', ...packages], context)
        await rm(join(root, 'usr/sbin/policy-rc.d'))
        await rm(join(root, 'var/lib/apt/lists'), { recursive: true })
        await pack(root, path, context)
      })
    },
  }
}

async function pack(root: string, path: string, context: StepContext): Promise<void> {
  for (const name of unneeded) await rm(join(root, name), { recursive: true, force: true })
  await writeFile(join(root, 'etc/machine-id'), '') // each host gets an identity of its own
  await run(['tar', '--create', '--numeric-owner', '--file', path, '--directory', root, '.'], context)
}

async function inFolder(use: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'rootfs-'))
  try {
    await use(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Runs a program whose progress is on standard output. */
async function run(argv: readonly string[], { signal, progress, log }: StepContext): Promise<void> {
  const onErrorLine = (line: string): void => {
    log(`${line}\n`)
    progress(line.replace(/^I: /, ''))
  }
  await runCommand({ argv: ['sh', '-c', 'exec "$@" >&2', 'sh', ...argv], onErrorLine }, signal)
}
