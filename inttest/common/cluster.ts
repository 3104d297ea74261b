import type { ChildProcess } from 'node:child_process'
import { copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseHost, type DatabaseKind } from '#inttest/common/database-host.ts'
import { ExternalEtcd } from '#inttest/common/external-etcd.ts'
import { testImages, type TestImage } from '#inttest/common/images.ts'
import { Host, type HostProcess } from '#inttest/common/host.ts'
import { checkout, k0sExecutable, namesOf, type Names } from '#inttest/common/names.ts'
import { Network } from '#inttest/common/network.ts'
import { ended, type Finished, type RunOptions } from '#inttest/common/run.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { SharedStore } from '#inttest/common/shared-store.ts'

/** What a cluster consists of. */
export interface ClusterOptions {
  /** Names the hosts, addresses and directories; two instances run side by side. */
  readonly instance: string
  /** Parent directory of the hosts' disks. */
  readonly dir: string
  readonly workers: number
  /** Number of controllers; all but the first join it. Default 1. */
  readonly controllers?: number
  /** Flags of `k0s controller`, of each. */
  readonly controllerArgs?: readonly string[]
  /** The cluster configuration, YAML; absent: the defaults. */
  readonly config?: string
  /** Keeps the cluster's data in a database server on a host of its own, over TLS; `config` is then not used. */
  readonly database?: DatabaseKind | 'external-etcd'
  /** The test images that the workers are given; default: all. */
  readonly images?: readonly TestImage[]
  /** Told what happens, one line each. */
  readonly progress?: (line: string) => void
}

const DATABASE = 5
const FIRST_CONTROLLER = 10
const FIRST_WORKER = 20

/** Images that tests and the demo application need; the product itself ships its own. */
const testImagesDir = join(checkout, 'embedded-bins', 'staging', 'test-images')

/** Controllers and workers, each a host on this machine, set up with the public commands only. */
export class Cluster {
  readonly names: Names
  readonly network: Network
  readonly controllers: readonly Host[]
  readonly workers: readonly Host[]
  readonly #options: ClusterOptions
  readonly #databaseHost: Host
  #controller: Host
  #database: SharedStore | undefined
  readonly #roles = new Map<Host, { readonly args: readonly string[]; child: ChildProcess }>()

  constructor(options: ClusterOptions) {
    this.#options = options
    this.names = namesOf(options.instance)
    this.network = new Network(this.names)
    this.#controller = this.host('controller-0', FIRST_CONTROLLER)
    const others = Array.from({ length: (options.controllers ?? 1) - 1 }, (_, i) =>
      this.host(`controller-${String(i + 1)}`, FIRST_CONTROLLER + i + 1),
    )
    this.controllers = [this.#controller, ...others]
    this.#databaseHost = this.host('database', DATABASE)
    this.workers = Array.from({ length: options.workers }, (_, i) => this.host(`worker-${String(i)}`, FIRST_WORKER + i))
  }

  /** A further host on the cluster's network, its disk in the directory `disk`; the caller boots and removes it. */
  host(name: string, number: number, disk = name): Host {
    return new Host({ name, number, dir: join(this.#options.dir, disk) }, { names: this.names, network: this.network })
  }

  /** The server that the cluster's data are in. */
  get database(): SharedStore {
    if (!this.#database) throw new Error('this cluster has no database server')
    return this.#database
  }

  /** A power cut of the host of the database server. */
  async loseDatabase(): Promise<void> {
    await this.#databaseHost.powerOff()
  }

  /** The one that is asked for tokens and by kubectl: the first of `controllers` unless `ask` named another. */
  get controller(): Host {
    return this.#controller
  }

  /** From now on `host` is `controller`, as the one before is to go. */
  ask(host: Host): void {
    this.#controller = host
  }

  get worker(): Host {
    const [first] = this.workers
    if (!first) throw new Error('this cluster has no worker')
    return first
  }

  /** Boots the hosts, starts the controller, joins the workers; resolves when every node is Ready. */
  async up(): Promise<void> {
    await this.network.create()
    for (const host of [...this.controllers, ...this.workers]) {
      this.#say(`booting ${host.name} (${host.address})`)
      await host.boot()
    }
    if (this.#options.database !== undefined) await this.#startDatabase(this.#options.database)
    await this.startController()
    for (const host of this.controllers.slice(1)) await this.joinController(host)
    await Promise.all(this.workers.map((host) => this.join(host)))
    if (this.workers.length > 0) await this.untilNodesReady(this.workers.map((host) => host.name))
  }

  /** Starts `k0s controller` and waits until it says that it is ready. */
  async startController(): Promise<void> {
    const { controllerArgs = [] } = this.#options
    const config = this.#database?.config ?? this.#options.config
    if (config !== undefined) await this.controller.write('/etc/k0s/k0s.yaml', config)
    const runsWorker = controllerArgs.some((arg) => /^--(single|enable-worker)(=true)?$/.test(arg))
    if (runsWorker) await this.#placeImages(this.controller)
    this.#say(`starting k0s controller ${controllerArgs.join(' ')}`.trimEnd())
    await this.start(this.controller, ['controller', ...controllerArgs])
  }

  /** Makes a host one more controller, with a fresh token of `of`. */
  async joinController(host: Host, of = this.controller): Promise<void> {
    const { controllerArgs = [] } = this.#options
    const config = this.#database?.config ?? this.#options.config
    if (config !== undefined) await host.write('/etc/k0s/k0s.yaml', config)
    await this.#database?.introduceTo(host)
    await host.write('/etc/k0s/token', await this.token('controller', of))
    this.#say(`joining ${host.name} with k0s controller --token-file`)
    await this.start(host, ['controller', '--token-file', '/etc/k0s/token', ...controllerArgs])
  }

  /** A token that is valid for an hour. */
  async token(role: 'controller' | 'worker', of = this.controller): Promise<string> {
    const { stdout, stderr, code } = await of.k0s(['token', 'create', '--role', role, '--expiry', '1h'])
    if (code !== 0) throw new Error(`no token: ${stderr}`)
    return stdout
  }

  /** Joins a worker with a fresh token. */
  async join(host: Host): Promise<void> {
    await host.write('/etc/k0s/token', await this.token('worker'))
    await this.#placeImages(host)
    this.#say(`joining ${host.name} with k0s worker --token-file`)
    await this.start(host, ['worker', '--token-file', '/etc/k0s/token'])
  }

  /** Runs a role of the product in the background and waits for `k0s status --wait-ready`. */
  async start(host: Host, args: readonly string[]): Promise<void> {
    const child = await host.spawn([k0sExecutable, ...args], 'k0s')
    this.#roles.set(host, { args, child })
    const ready = await host.k0s(['status', '--wait-ready', '--timeout', '180s'], { timeoutMs: 200_000 })
    if (ready.code !== 0) {
      const log = await readFile(join(host.dir, 'k0s.log'), 'utf8')
      throw new Error(`${host.name} is not ready: ${ready.stderr.trim()}\nits log ends with:\n${log.slice(-6000)}`)
    }
  }

  /** Starts the role that `host` had before, as a service manager would. */
  async restart(host: Host): Promise<void> {
    const role = this.#roles.get(host)
    if (!role) throw new Error(`${host.name} has had no role`)
    await ended(role.child)
    await this.start(host, role.args)
  }

  /** The supervisor's process on `host`. */
  async supervisor(host: Host): Promise<HostProcess> {
    const pid = JSON.parse((await host.k0s(['status', '-o', 'json'])).stdout).Pid as number
    const found = (await host.processes()).find((process) => process.hostPid === pid)
    if (!found) throw new Error(`no supervisor on ${host.name}`)
    return found
  }

  /** kubectl on the controller, with the product's own defaults. */
  async kubectl(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.controller.k0s(['kubectl', ...args], options)
  }

  /** kubectl that has to succeed; returns its standard output. */
  async mustKubectl(args: readonly string[], options: RunOptions = {}): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(args, options)
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${(stderr || stdout).trim()}`)
    return stdout
  }

  /** The parsed JSON of a kubectl get. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look at a few fields of any kind of object
  async get(args: readonly string[]): Promise<any> {
    return JSON.parse(await this.mustKubectl(['get', ...args, '-o', 'json'])) as unknown
  }

  async apply(manifest: string): Promise<void> {
    await this.mustKubectl(['apply', '-f', '-'], { input: manifest })
  }

  /** Runs a command in a pod; rejects unless it succeeds. */
  async exec(pod: string, command: readonly string[], namespace = 'default'): Promise<string> {
    return this.mustKubectl(['exec', '-n', namespace, pod, '--', ...command])
  }

  async untilNodesReady(names: readonly string[], timeoutMs = 120_000): Promise<void> {
    await eventually(`nodes ${names.join(', ')} Ready`, timeoutMs, async () => {
      for (const name of names) {
        const node = await this.get(['node', name])
        const ready = node.status.conditions.find((condition: { type: string }) => condition.type === 'Ready')
        if (ready?.status !== 'True') throw new Error(`${name}: ${String(ready?.message ?? 'no Ready condition')}`)
      }
    })
    this.#say(`Ready: ${names.join(', ')}`)
  }

  /** Copies the log of every host to `dir`, for whoever reads a failed test. */
  async saveLogs(dir: string): Promise<void> {
    await mkdir(dir, { recursive: true })
    for (const host of [...this.controllers, ...this.workers]) {
      await copyFile(join(host.dir, 'k0s.log'), join(dir, `${host.name}.log`)).catch(() => undefined)
    }
    // What failed may have left nobody to ask.
    const { stdout } = await this.kubectl(['get', 'nodes,pods,events', '-A', '-o', 'wide']).catch((err: unknown) => ({
      stdout: String(err),
    }))
    await writeFile(join(dir, 'objects.txt'), stdout)
  }

  /** Ends the hosts and forgets their disks, whatever state they are in. */
  async down(): Promise<void> {
    for (const host of [...this.controllers, ...this.workers, this.#databaseHost]) await host.remove()
    await this.network.remove()
    await rm(this.#options.dir, { recursive: true, force: true })
  }

  async #startDatabase(kind: DatabaseKind | 'external-etcd'): Promise<void> {
    this.#say(`starting ${kind} on ${this.#databaseHost.name} (${this.#databaseHost.address})`)
    const host = this.#databaseHost
    this.#database = kind === 'external-etcd' ? new ExternalEtcd(host) : new DatabaseHost(host, kind)
    await this.#database.up()
    await this.#database.introduceTo(this.controller)
  }

  #say(line: string): void {
    this.#options.progress?.(line)
  }

  /** Puts the test images where a worker imports them from when it starts. */
  async #placeImages(host: Host): Promise<void> {
    const target = host.diskPath('/var/lib/k0s/images')
    await mkdir(target, { recursive: true })
    for (const name of this.#options.images ?? testImages) {
      await copyFile(join(testImagesDir, `${name}.tar`), join(target, `${name}.tar`))
    }
  }
}
