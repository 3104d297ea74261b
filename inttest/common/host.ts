import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { makeGroups, removeGroups } from '#inttest/common/cgroups.ts'
import { checkout, k0sExecutable, type Names } from '#inttest/common/names.ts'
import type { Network } from '#inttest/common/network.ts'
import { must, run, runBytes, type Finished, type RunOptions } from '#inttest/common/run.ts'

/** Kept on the machine's disk, so that they outlive a power-off of the host and can carry overlay mounts. */
const DISK_PATHS = [
  '/var/lib/k0s',
  '/var/lib/kubelet',
  '/var/lib/calico',
  '/var/lib/cni',
  '/var/log',
  '/etc/k0s',
  '/etc/cni',
  '/opt/cni',
  '/mnt',
] as const

/** One host of a cluster. */
export interface HostOptions {
  /** Host name, and with it the node's name. */
  readonly name: string
  /** Last octet of its address. */
  readonly number: number
  /** Where its disk lives. */
  readonly dir: string
}

/**
 * A host on this machine: network, mount, PID, UTS, IPC and cgroup namespaces of its own, and a copy-on-write root, so
 * that the product runs in it with its default paths and nothing of it reaches the machine.
 *
 * The host's PID 1 is the only process held from outside: ending it ends everything in the host, as a power cut does.
 */
export class Host {
  readonly name: string
  readonly address: string
  readonly dir: string
  readonly #network: Network
  readonly #id: string
  #pid: number | undefined

  constructor(
    { name, number, dir }: HostOptions,
    { names, network }: { readonly names: Names; readonly network: Network },
  ) {
    this.name = name
    this.address = `${names.subnet}.${String(number)}`
    this.dir = dir
    this.#network = network
    this.#id = `${names.prefix}-${String(number)}`
  }

  /** Process id of the host's init, as the machine sees it. */
  get initPid(): number {
    if (this.#pid === undefined) throw new Error(`host ${this.name} is not up`)
    return this.#pid
  }

  /** A path of the host as seen from the machine, for the paths that live on its disk. */
  diskPath(path: string): string {
    return join(this.dir, 'disk', path)
  }

  async boot(): Promise<void> {
    await mkdir(this.dir, { recursive: true })
    const ready = join(this.dir, 'ready')
    await rm(ready, { force: true })
    await this.#network.connect(this.#id, this.address)
    const groups = await makeGroups(this.#id)
    const enter = groups.map((group) => `echo 0 >${group}/cgroup.procs`).join(' && ')
    const unshare = 'unshare --mount --uts --ipc --pid --cgroup --fork --kill-child=SIGKILL'
    const init = `${unshare} ${join(import.meta.dirname, 'host-init.sh')} ${this.name} ${this.dir} ${ready} ${DISK_PATHS.join(' ')}`
    const log = openSync(join(this.dir, 'init.log'), 'w')
    const child = spawn('sh', ['-c', `${enter} && exec nsenter --net=/run/netns/${this.#id} ${init}`], {
      detached: true, // `make up` leaves its hosts running
      stdio: ['ignore', log, log],
      env: { ...process.env, HOST_SHARED: join(checkout, 'build') },
    })
    closeSync(log)
    await once(child, 'spawn')
    child.unref()
    await this.#untilUp(child, ready)
    this.#pid = await onlyChild(child.pid)
    await writeFile(join(this.dir, 'init.pid'), `${String(this.#pid)}\n`)
  }

  async #untilUp(child: ChildProcess, ready: string): Promise<void> {
    const deadline = Date.now() + 20_000
    while (!(await stat(ready).catch(() => undefined))) {
      if (child.exitCode !== null || Date.now() > deadline) {
        const said = await readFile(join(this.dir, 'init.log'), 'utf8')
        throw new Error(`host ${this.name} did not come up: ${said.trim()}`)
      }
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** Finds a host that an earlier process booted; false when it is not up. */
  async attach(): Promise<boolean> {
    const text = await readFile(join(this.dir, 'init.pid'), 'utf8').catch(() => '')
    const pid = Number(text.trim())
    if (!pid) return false
    // The PID may have been given to another process since: the host's init stands in its cgroup.
    const groups = await readFile(`/proc/${String(pid)}/cgroup`, 'utf8').catch(() => '')
    if (!groups.includes(`/${this.#id}`)) return false
    this.#pid = pid
    return true
  }

  /** A power cut: every process of the host is gone at once, its memory and /run with them; its disk stays. */
  async powerOff(): Promise<void> {
    if (this.#pid === undefined && !(await this.attach())) {
      await this.#network.disconnect(this.#id, this.address)
      await removeGroups(this.#id)
      return
    }
    const pid = this.initPid
    process.kill(pid, 'SIGKILL')
    while (await stat(`/proc/${String(pid)}`).catch(() => undefined)) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    this.#pid = undefined
    await this.#network.disconnect(this.#id, this.address)
    await removeGroups(this.#id)
  }

  /** Power off and forget the disk. */
  async remove(): Promise<void> {
    await this.powerOff()
    await rm(this.dir, { recursive: true, force: true })
  }

  /** The command line that runs `argv` in the host, in its namespaces and its cgroup. */
  async inside(argv: readonly string[]): Promise<readonly string[]> {
    const groups = await makeGroups(this.#id)
    const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs`).join(' && ')
    const pid = String(this.initPid)
    const nsenter = `exec nsenter --target ${pid} --mount --uts --ipc --net --pid --cgroup --root --wdns=/ -- "$@"`
    return ['sh', '-c', `${enter} && ${nsenter}`, 'sh', ...argv]
  }

  async run(argv: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return run(await this.inside(argv), options)
  }

  async runBytes(
    argv: readonly string[],
    options: RunOptions = {},
  ): Promise<{ code: number; stdout: Buffer; stderr: string }> {
    return runBytes(await this.inside(argv), options)
  }

  async must(argv: readonly string[], options: RunOptions = {}): Promise<string> {
    return must(await this.inside(argv), options)
  }

  /** The product's command line in the host. */
  async k0s(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.run([k0sExecutable, ...args], options)
  }

  /** Starts a long-running program; its output goes to `<host dir>/<logName>.log`, appended. */
  async spawn(
    argv: readonly string[],
    logName: string,
    env: Readonly<Record<string, string>> = {},
  ): Promise<ChildProcess> {
    const [program = '', ...args] = await this.inside(argv)
    const log = openSync(join(this.dir, `${logName}.log`), 'a')
    const child = spawn(program, args, { detached: true, stdio: ['ignore', log, log], env: { ...process.env, ...env } })
    closeSync(log)
    await once(child, 'spawn')
    child.unref()
    return child
  }

  /** Writes a file inside the host. */
  async write(path: string, text: string): Promise<void> {
    await this.must(['sh', '-c', 'mkdir -p "$(dirname "$0")" && cat >"$0"', path], { input: text })
  }

  /** Every process of the host but its init. */
  async processes(): Promise<readonly HostProcess[]> {
    const namespace = await readlink(`/proc/${String(this.initPid)}/ns/pid`)
    const found: HostProcess[] = []
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry) || Number(entry) === this.initPid) continue
      const process = await describe(entry, namespace)
      if (process) found.push(process)
    }
    return found
  }
}

/** A process of a host, seen from the machine. */
export interface HostProcess {
  readonly pid: number
  /** PID inside the host. */
  readonly hostPid: number
  /** Name of its executable as it was started, for example `kubelet`. */
  readonly name: string
  readonly argv: readonly string[]
  /** Clock ticks after boot at which it started: with the PID it names one process for ever. */
  readonly startTicks: number
}

async function describe(pid: string, namespace: string): Promise<HostProcess | undefined> {
  try {
    if ((await readlink(`/proc/${pid}/ns/pid`)) !== namespace) return undefined
    const argv = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0').slice(0, -1)
    if (argv.length === 0) return undefined // a kernel thread or a zombie
    const status = await readFile(`/proc/${pid}/status`, 'utf8')
    const stats = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stats.slice(stats.lastIndexOf(')') + 2).split(' ')
    const hostPid = Number(/^NSpid:.*\t(\d+)$/m.exec(status)?.[1])
    const name = basename(argv[0] ?? '') // not the kernel's name of it, which ends after 15 characters
    return { pid: Number(pid), hostPid, name, argv, startTicks: Number(fields[19]) }
  } catch {
    return undefined // it ended meanwhile
  }
}

async function onlyChild(pid: number | undefined): Promise<number> {
  const id = String(pid)
  const children = (await readFile(`/proc/${id}/task/${id}/children`, 'utf8')).trim().split(' ')
  const child = Number(children[0])
  if (children.length !== 1 || !child) throw new Error(`expected one child of ${id}, found: ${children.join(' ')}`)
  return child
}
