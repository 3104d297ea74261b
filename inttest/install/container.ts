import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { randomBytes } from 'node:crypto'
import { makeGroups, removeGroups } from '#inttest/common/cgroups.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { checkout, type Names } from '#inttest/common/names.ts'
import type { Network } from '#inttest/common/network.ts'
import { ended, must, run, type Finished, type RunOptions } from '#inttest/common/run.ts'

/** Init systems that there is a root file system of (embedded-bins/rootfs-steps.ts). */
export type Init = 'systemd' | 'openrc'

/** Where the product is in a container: not in /tmp, which an init system empties. */
const PRODUCT_DIR = '/opt/k0s'
/** On PATH, as a user would have it. */
const K0S = '/usr/local/bin/k0s'
/** systemd-nspawn's answer when the container asked to be rebooted and --keep-unit is given. */
const REBOOT_EXIT_CODE = 133
/** Until the init system has started everything, and for it to end everything. */
const BOOT_TIMEOUT_MS = 90_000

/** Services of Debian that would change the machine, since not all of the kernel is the container's own. */
const masked = {
  systemd: ['systemd-sysctl', 'systemd-modules-load', 'systemd-random-seed'],
  openrc: ['procps', 'hwclock.sh', 'urandom'],
} as const

/**
 * First program of the container. nspawn mounts the groups of cgroup v1 read-only, and a kubelet makes groups. Without the variable
 * sysvinit looks for a policy of SELinux, for which it mounts another /sys over the one with the groups.
 */
const INIT_SCRIPT = `#!/bin/sh
for dir in /sys/fs/cgroup/*; do
  if [ -d "$dir" ] && [ ! -L "$dir" ]; then mount -o remount,bind,rw "$dir"; fi
done
mount --make-rshared /
export SELINUX_INIT=none
exec /sbin/init
`

/** A host with an init system as PID 1: a Debian of its own in a container of systemd-nspawn. */
export class Container {
  readonly name: string
  readonly address: string
  readonly dir: string
  readonly #init: Init
  readonly #id: string
  readonly #network: Network
  #nspawn: ChildProcess | undefined
  #pid = 0

  constructor(
    options: { readonly name: string; readonly number: number; readonly dir: string; readonly init: Init },
    { names, network }: { readonly names: Names; readonly network: Network },
  ) {
    const { name, number, dir, init } = options
    this.name = name
    this.dir = dir
    this.address = `${names.subnet}.${String(number)}`
    this.#init = init
    this.#id = `${names.prefix}-${String(number)}`
    this.#network = network
  }

  /** Path of a file of the container as the machine sees it. */
  path(path: string): string {
    return join(this.dir, 'root', path)
  }

  /** Makes its disk. */
  async create(): Promise<void> {
    await this.remove()
    const root = join(this.dir, 'root')
    await mkdir(root, { recursive: true })
    const archive = join(checkout, 'embedded-bins', 'staging', 'rootfs', `${this.#init}.tar`)
    await must(['tar', '--extract', '--file', archive, '--directory', root])
    await chmod(root, 0o755)
    await writeFile(this.path('etc/machine-id'), `${randomBytes(16).toString('hex')}\n`)
    await writeFile(this.path('etc/hostname'), `${this.name}\n`)
    await writeFile(this.path('etc/hosts'), `127.0.0.1 localhost\n${this.address} ${this.name}\n`)
    await writeFile(this.path('etc/resolv.conf'), `nameserver ${this.#network.gateway}\n`)
    await writeFile(this.path('sbin/test-init'), INIT_SCRIPT)
    await chmod(this.path('sbin/test-init'), 0o755)
    await symlink(join(PRODUCT_DIR, 'k0s'), this.path(K0S))
    for (const name of masked[this.#init]) {
      if (this.#init === 'systemd') await symlink('/dev/null', this.path(`etc/systemd/system/${name}.service`))
      else await disableScript(this.path(`etc/init.d/${name}`))
    }
  }

  /** Puts an image of the tests where a worker imports it from when it starts. */
  async placeImage(name: string): Promise<void> {
    const target = this.path('var/lib/k0s/images')
    await mkdir(target, { recursive: true })
    await copyFile(
      join(checkout, 'embedded-bins', 'staging', 'test-images', `${name}.tar`),
      join(target, `${name}.tar`),
    )
  }

  /** Switches it on; resolves when the init system has started what it starts. */
  async boot(): Promise<void> {
    await this.#network.connect(this.#id, this.address)
    const groups = await makeGroups(this.#id)
    const enter = groups.map((group) => `echo 0 >${group}/cgroup.procs`).join(' && ')
    const nspawn = [
      'systemd-nspawn --quiet --register=no --keep-unit --link-journal=no --resolv-conf=off --timezone=off',
      `--directory=${join(this.dir, 'root')} --machine=${this.#id} --hostname=${this.name}`,
      `--network-namespace-path=/run/netns/${this.#id} --capability=all`,
      `--bind=/dev/kmsg --bind-ro=${join(checkout, 'build')}:${PRODUCT_DIR} /sbin/test-init`,
    ].join(' ')
    const log = openSync(join(this.dir, 'console.log'), 'a')
    const child = spawn('sh', ['-c', `${enter} && exec ${nspawn}`], {
      stdio: ['ignore', log, log],
      env: {
        ...process.env,
        SYSTEMD_NSPAWN_API_VFS_WRITABLE: 'yes',
        SYSTEMD_SECCOMP: '0',
      },
    })
    closeSync(log)
    await once(child, 'spawn')
    this.#nspawn = child
    await eventually(`${this.name} has booted`, BOOT_TIMEOUT_MS, async () => {
      if (child.exitCode !== null) throw new Error(`systemd-nspawn ended: ${await this.#console()}`)
      this.#pid = await firstChild(child.pid)
      await this.must(['sh', '-c', upProbe[this.#init]])
    })
  }

  /** `reboot`, as a user asks for it: everything ends in order, and starts again. */
  async reboot(): Promise<void> {
    const child = this.#nspawn
    if (child === undefined) throw new Error(`${this.name} is not up`)
    await this.run(['reboot']) // it may be gone before it has answered
    await eventually(`${this.name} has shut down`, BOOT_TIMEOUT_MS * 2, () => {
      if (child.exitCode === null) return Promise.reject(new Error(`still up: ${this.name}`))
      return Promise.resolve()
    })
    if (child.exitCode !== REBOOT_EXIT_CODE) throw new Error(`no reboot: ${await this.#console()}`)
    await this.#disconnect()
    await this.boot()
  }

  /** Switches it off at once and forgets its disk. */
  async remove(): Promise<void> {
    if (this.#nspawn !== undefined) {
      if (this.#pid > 0 && this.#nspawn.exitCode === null) process.kill(this.#pid, 'SIGKILL')
      await ended(this.#nspawn)
      this.#nspawn = undefined
    }
    await this.#disconnect()
    await rm(this.dir, { recursive: true, force: true })
  }

  async #disconnect(): Promise<void> {
    await this.#network.disconnect(this.#id, this.address)
    await removeGroups(this.#id)
    await rm(join('/run/systemd/nspawn/propagate', this.#id), { recursive: true, force: true })
  }

  async #console(): Promise<string> {
    return (await readFile(join(this.dir, 'console.log'), 'utf8')).slice(-2_000)
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
    const groups = await makeGroups(this.#id)
    const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs`).join(' && ')
    const nsenter = `exec nsenter --target ${String(this.#pid)} --mount --uts --ipc --net --pid --cgroup --root --wdns=/`
    // The environment of somebody who has logged in, not that of the tests.
    const login = 'env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    return run(['sh', '-c', `${enter} && ${nsenter} -- ${login} "$@"`, 'sh', ...argv], options)
  }

  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.run(argv, options)
    if (code !== 0) throw new Error(`${this.name}: ${argv.join(' ')}: exit code ${String(code)}: ${stderr || stdout}`)
    return stdout
  }

  /** The product's command line. */
  async k0s(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.run([K0S, ...args], options)
  }

  /** The product's command line, which has to succeed. */
  async mustK0s(args: readonly string[], options: RunOptions = {}): Promise<string> {
    return this.must([K0S, ...args], options)
  }

  /** Everything that its role printed, for whoever reads a failed test. */
  async log(): Promise<string> {
    const read =
      this.#init === 'systemd'
        ? 'journalctl --no-pager -o cat -n 400'
        : 'tail -n 200 /var/log/k0s*.log /var/log/k0s*.err'
    return (await this.run(['sh', '-c', read])).stdout
  }
}

/** Succeeds when the init system has nothing left to start. */
const upProbe: Readonly<Record<Init, string>> = {
  systemd: 'systemctl is-system-running | grep -E "running|degraded"',
  openrc: 'rc-status --runlevel | grep -q default && ! pgrep -x openrc',
}

/** Others are started after it: it stays, and does nothing. */
async function disableScript(path: string): Promise<void> {
  const end = '### END INIT INFO'
  const [header = ''] = (await readFile(path, 'utf8')).split(end)
  await writeFile(path, `${header}${end}\nexit 0\n`)
}

async function firstChild(pid: number | undefined): Promise<number> {
  const id = String(pid)
  const [child = ''] = (await readFile(`/proc/${id}/task/${id}/children`, 'utf8')).trim().split(' ')
  if (child === '') throw new Error('systemd-nspawn has not started PID 1 yet')
  return Number(child)
}
