import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, chown, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { Client } from 'pg'
import { freezeProcesses } from '#pkg/kine/testing/freeze.ts'
import { childrenOf, isAlive, signal } from '#pkg/kine/testing/process-tree.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'
import { spawnAs } from '#pkg/kine/testing/spawn-as.ts'
import { systemUser } from '#pkg/kine/testing/system-user.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { throwAwayCertificates } from '#pkg/kine/testing/throw-away-certificates.ts'
import type { CertificateFiles } from '#pkg/kine/testing/throw-away-certificates.ts'

/** How a test wants its PostgreSQL. */
export interface PostgresServerOptions {
  /** Whether commits reach the disk. Default false: most tests kill processes, not machines. */
  readonly fsync?: boolean
  /** Whether it takes TLS; the database `tls_only` then takes nothing else. Default false. */
  readonly tls?: boolean
  /** Where its own directory is made. Default that for temporary files. */
  readonly parent?: string
  /** Further settings of postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
}

const USER = 'kine'
/** Has what a URL must encode. */
const PASSWORD = 'p@ss:w/rd%'
const BINARIES = '/usr/lib/postgresql'
const STOP_SIGNALS = { fast: 'SIGINT', immediate: 'SIGQUIT', smart: 'SIGTERM' } as const
const LOG_LINES = 30

/**
 * A PostgreSQL of the test's own, from Debian's package `postgresql`, in a temporary directory and on a loopback port:
 * fast to make because nothing of its start is synced. One a run is enough: each test takes a database of its own.
 */
export class PostgresServer implements AsyncDisposable {
  readonly port: number
  /** Directory of the Unix socket; there everybody may be anybody. */
  readonly dir: string
  /** Of the TLS variant: the authority, and a certificate for user `kine`. */
  readonly certificates: CertificateFiles | undefined
  readonly #bin: string
  readonly #env: PostgresServerOptions['env']
  readonly #log: string[] = []
  #child: ChildProcess | undefined
  #databases = 0

  static async start(options: PostgresServerOptions = {}): Promise<PostgresServer> {
    const bin = await newestBinaries()
    const user = await systemUser('postgres')
    const dir = await mkdtemp(join(options.parent ?? tmpdir(), 'kine-postgres-'))
    try {
      if (user !== undefined) await chown(dir, user.uid, user.gid)
      const certificates = options.tls === true ? await throwAwayCertificates(dir, USER, user) : undefined
      const server = new PostgresServer({ bin, dir, certificates, port: await freePort(), env: options.env })
      await server.#initialise(options)
      await server.start()
      return server
    } catch (error) {
      await rm(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** A server on a copy of the directory of this one, which still runs: as that is found after a power cut. */
  async startCopy(dir: string): Promise<PostgresServer> {
    const copy = new PostgresServer({
      bin: this.#bin,
      dir,
      port: await freePort(),
      certificates: undefined,
      env: this.#env,
    })
    const data = join(dir, 'data')
    await rm(join(data, 'postmaster.pid'), { force: true })
    // The last of two settings of one name counts.
    await appendFile(join(data, 'postgresql.auto.conf'), `port = '${copy.port}'\nunix_socket_directories = '${dir}'\n`)
    await copy.start()
    return copy
  }

  private constructor(parts: {
    readonly bin: string
    readonly dir: string
    readonly port: number
    readonly certificates: CertificateFiles | undefined
    readonly env: PostgresServerOptions['env']
  }) {
    this.#bin = parts.bin
    this.dir = parts.dir
    this.port = parts.port
    this.certificates = parts.certificates
    this.#env = parts.env
  }

  /** Its newest log lines. */
  get log(): string {
    return this.#log.join('\n')
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** Endpoint of a database for `k0s kine`, by TCP with a password. */
  url(database: string, options: { readonly user?: string; readonly password?: string } = {}): string {
    const { user = USER, password = PASSWORD } = options
    return `postgres://${user}:${encodeURIComponent(password)}@127.0.0.1:${this.port}/${database}`
  }

  /** A fresh database; returns its endpoint. */
  async createDatabase(): Promise<string> {
    this.#databases += 1
    const name = `kine_${process.pid}_${this.#databases}`
    await this.query(`CREATE DATABASE ${name} OWNER ${USER}`)
    return this.url(name)
  }

  /** Runs SQL as superuser; rows as arrays of texts and nulls. */
  async query(sql: string, database = 'postgres'): Promise<readonly (readonly unknown[])[]> {
    const client = new Client({ host: this.dir, port: this.port, user: 'postgres', database })
    client.on('error', () => undefined)
    await client.connect()
    try {
      return (await client.query<unknown[]>({ text: sql, rowMode: 'array' })).rows
    } finally {
      await client.end()
    }
  }

  /** Starts it, after a crash too; resolves once it accepts connections. */
  async start(): Promise<void> {
    const child = spawnAs('postgres', join(this.#bin, 'postgres'), ['-D', join(this.dir, 'data')], this.#env)
    this.#child = child
    const exited = once(child, 'exit').then(() => false)
    const ready = new Promise<boolean>((resolve) => {
      createInterface({ input: child.stderr ?? process.stdin }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES) this.#log.shift()
        if (line.includes('database system is ready to accept')) resolve(true)
      })
    })
    if (!(await Promise.race([ready, exited]))) throw new Error(`postgres does not start:\n${this.log}`)
  }

  /** `fast` rolls back what runs, `immediate` does not even write a checkpoint, `smart` waits for clients. */
  async stop(mode: keyof typeof STOP_SIGNALS = 'fast'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill(STOP_SIGNALS[mode])
    await exited
  }

  /** SIGKILL to every process of it at once, as the kernel does when memory runs out. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined) return
    const children = await childrenOf(child.pid)
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    for (const pid of children) signal(pid, 'SIGKILL')
    await exited
    // As long as one of them is left the shared memory counts as in use.
    for (const pid of children) while (await isAlive(pid)) await sleep(5)
  }

  async restart(): Promise<void> {
    await this.stop('fast')
    await this.start()
  }

  /** Freezes or thaws every process of it: connections stay, nothing answers, as with a host that hangs. */
  async freeze(frozen: boolean): Promise<void> {
    const pid = this.#child?.pid
    if (pid === undefined) return
    await freezeProcesses([pid, ...(await childrenOf(pid))], frozen)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.freeze(false)
    await this.stop('immediate')
    await rm(this.dir, { recursive: true, force: true })
  }

  async #initialise({ fsync = false, tls = false, settings = {} }: PostgresServerOptions): Promise<void> {
    const data = join(this.dir, 'data')
    const args = [
      '-D',
      data,
      '-U',
      'postgres',
      '-A',
      'trust',
      '-E',
      'UTF8',
      '--locale=C',
      '--no-sync',
      '--no-instructions',
    ]
    const initdb = spawnAs('postgres', join(this.#bin, 'initdb'), args)
    const output: Buffer[] = []
    initdb.stderr?.on('data', (chunk: Buffer) => output.push(chunk))
    const [code] = (await once(initdb, 'exit')) as [number | null]
    if (code !== 0) throw new Error(`initdb failed: ${Buffer.concat(output).toString()}`)
    const all: Record<string, string> = {
      listen_addresses: '127.0.0.1',
      port: String(this.port),
      unix_socket_directories: this.dir,
      fsync: fsync ? 'on' : 'off',
      shared_buffers: '32MB',
      ...(this.certificates && {
        ssl: 'on',
        ssl_cert_file: this.certificates.serverCert,
        ssl_key_file: this.certificates.serverKey,
        ssl_ca_file: this.certificates.ca,
      }),
      ...settings,
    }
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value}'\n`)
    await writeFile(join(data, 'postgresql.auto.conf'), lines.join(''))
    const reject = tls ? 'hostnossl tls_only all 127.0.0.1/32 reject\n' : ''
    await writeFile(
      join(data, 'pg_hba.conf'),
      `local all all trust\n${reject}host all all 127.0.0.1/32 scram-sha-256\n`,
    )
    await this.start()
    await this.query(`CREATE ROLE ${USER} LOGIN CREATEDB PASSWORD '${PASSWORD}'`)
    await this.stop()
  }
}

/** Version folder names are numbers. */
async function newestBinaries(): Promise<string> {
  const versions = await readdir(BINARIES).catch(() => [])
  const newest = versions.map(Number).sort((a, b) => b - a)[0]
  if (newest === undefined) throw new Error('this test needs PostgreSQL: apt-get install postgresql')
  return join(BINARIES, String(newest), 'bin')
}
