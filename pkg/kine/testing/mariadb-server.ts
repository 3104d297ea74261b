import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chown, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import mysql from 'mysql2/promise'
import { freezeProcesses } from '#pkg/kine/testing/freeze.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'
import { spawnAs } from '#pkg/kine/testing/spawn-as.ts'
import { systemUser } from '#pkg/kine/testing/system-user.ts'
import { throwAwayCertificates } from '#pkg/kine/testing/throw-away-certificates.ts'
import type { CertificateFiles } from '#pkg/kine/testing/throw-away-certificates.ts'

/** How a test wants its MariaDB. */
export interface MariadbServerOptions {
  /** Whether commits reach the disk. Default false: most tests kill processes, not machines. */
  readonly fsync?: boolean
  /** Whether connections over TCP need TLS. Default false. */
  readonly tls?: boolean
  /** Where its own directory is made. Default that for temporary files. */
  readonly parent?: string
  /** Further options of mariadbd, without the dashes. */
  readonly settings?: Readonly<Record<string, string>>
  /** Variables of its environment. */
  readonly env?: Readonly<Record<string, string>>
}

const SERVER = '/usr/sbin/mariadbd'
const USER = 'kine'
/** Has what a URL must encode, and no slash: upstream's data source names cannot have one before the database. */
const PASSWORD = 'p@ss:w%rd'
const LOG_LINES = 60

/**
 * A MariaDB of the test's own, from Debian's package `mariadb-server`, in a temporary directory, on a loopback port and
 * a socket. One a run is enough: each test takes a database of its own.
 */
export class MariadbServer implements AsyncDisposable {
  readonly port: number
  readonly dir: string
  /** Of the TLS variant: the authority, and a certificate for user `kine`. */
  readonly certificates: CertificateFiles | undefined
  readonly #options: MariadbServerOptions
  readonly #args: readonly string[]
  readonly #log: string[] = []
  #child: ChildProcess | undefined
  #databases = 0

  static async start(options: MariadbServerOptions = {}): Promise<MariadbServer> {
    if (!existsSync(SERVER)) throw new Error('this test needs MariaDB: apt-get install mariadb-server')
    const user = await systemUser('mysql')
    const dir = await mkdtemp(join(options.parent ?? tmpdir(), 'kine-mariadb-'))
    let server: MariadbServer | undefined
    try {
      if (user !== undefined) await chown(dir, user.uid, user.gid)
      const certificates = options.tls === true ? await throwAwayCertificates(dir, USER, user) : undefined
      server = new MariadbServer(dir, await freePort(), certificates, options)
      await server.#initialise()
      return server
    } catch (error) {
      await server?.kill()
      await rm(dir, { recursive: true, force: true })
      throw error
    }
  }

  /** A server on a copy of the directory of this one, which still runs: as that is found after a power cut. */
  async startCopy(dir: string): Promise<MariadbServer> {
    const copy = new MariadbServer(dir, await freePort(), undefined, this.#options)
    await copy.start()
    return copy
  }

  private constructor(
    dir: string,
    port: number,
    certificates: CertificateFiles | undefined,
    options: MariadbServerOptions,
  ) {
    this.dir = dir
    this.port = port
    this.certificates = certificates
    this.#options = options
    this.#args = serverArgs({ dir, port, certificates, ...options })
  }

  /** Path of the Unix socket; `root` needs no password there. */
  get socketPath(): string {
    return join(this.dir, 'mariadb.sock')
  }

  /** Its newest log lines. */
  get log(): string {
    return this.#log.join('\n')
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** User and password of the databases that `createDatabase` makes. */
  get credentials(): { readonly user: string; readonly password: string } {
    return { user: USER, password: PASSWORD }
  }

  /** Endpoint of a database for `k0s kine`, by TCP with a password. */
  url(database: string, options: { readonly user?: string; readonly password?: string } = {}): string {
    const { user = USER, password = PASSWORD } = options
    return `mysql://${user}:${password}@tcp(127.0.0.1:${this.port})/${database}`
  }

  /** A fresh database; returns its endpoint. */
  async createDatabase(): Promise<string> {
    this.#databases += 1
    const name = `kine_${process.pid}_${this.#databases}`
    await this.query(`CREATE DATABASE ${name}`)
    await this.query(`GRANT ALL ON ${name}.* TO ${USER}@'%'`)
    return this.url(name)
  }

  /** Runs SQL as superuser; rows as arrays. */
  async query(sql: string, database = ''): Promise<readonly (readonly unknown[])[]> {
    const options = { socketPath: this.socketPath, user: 'root', database, rowsAsArray: true }
    const connection = await mysql.createConnection(options)
    try {
      const [rows] = await connection.query(sql)
      return Array.isArray(rows) ? (rows as unknown[][]) : []
    } finally {
      await connection.end()
    }
  }

  /** Starts it, after a crash too; resolves once it accepts connections. */
  async start(): Promise<void> {
    const child = spawnAs('mysql', SERVER, this.#args, this.#options.env)
    this.#child = child
    const exited = once(child, 'exit').then(() => false)
    const ready = this.#watch(child, 'ready for connections')
    if (!(await Promise.race([ready, exited]))) throw new Error(`mariadbd does not start:\n${this.log}`)
  }

  /** Ends it in order: clients are cut off, what runs is rolled back. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  /** SIGKILL, as the kernel does when memory runs out. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.stop()
    await this.start()
  }

  /** Freezes or thaws it: connections stay, nothing answers, as with a host that hangs. */
  async freeze(frozen: boolean): Promise<void> {
    const pid = this.#child?.pid
    if (pid !== undefined) await freezeProcesses([pid], frozen)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    await rm(this.dir, { recursive: true, force: true })
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGCONT')
    child.kill(signal)
    await exited
  }

  /** True once a line of its log contains `text`. */
  #watch(child: ChildProcess, text: string): Promise<boolean> {
    return new Promise((resolve) => {
      createInterface({ input: child.stderr ?? process.stdin }).on('line', (line) => {
        this.#log.push(line)
        if (this.#log.length > LOG_LINES) this.#log.shift()
        if (line.includes(text)) resolve(true)
      })
    })
  }

  async #initialise(): Promise<void> {
    const args = ['--no-defaults', `--datadir=${join(this.dir, 'data')}`, `--tmpdir=${this.dir}`]
    args.push('--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve')
    args.push('--innodb-flush-method=nosync', ...SMALL)
    const child = spawnAs('mysql', 'mariadb-install-db', args)
    void this.#watch(child, '\0')
    const [code] = (await once(child, 'exit')) as [number | null]
    if (code !== 0) throw new Error(`mariadb-install-db failed:\n${this.log}`)
    await this.start()
    await this.query(`CREATE USER ${USER}@'%' IDENTIFIED BY '${PASSWORD}'`)
  }
}

const SMALL = ['--innodb-buffer-pool-size=32M', '--innodb-log-file-size=48M']

function serverArgs(parts: {
  readonly dir: string
  readonly port: number
  readonly certificates: CertificateFiles | undefined
  readonly fsync?: boolean
  readonly settings?: Readonly<Record<string, string>>
}): readonly string[] {
  const { dir, port, certificates, fsync = false, settings = {} } = parts
  const args = ['--no-defaults', `--datadir=${join(dir, 'data')}`, `--tmpdir=${dir}`, `--port=${port}`]
  args.push(`--socket=${join(dir, 'mariadb.sock')}`, `--pid-file=${join(dir, 'pid')}`, '--bind-address=127.0.0.1')
  args.push('--skip-name-resolve', '--skip-log-bin', '--innodb-flush-log-at-trx-commit=1', ...SMALL)
  if (!fsync) args.push('--innodb-flush-method=nosync')
  if (certificates !== undefined) {
    const { ca, serverCert, serverKey } = certificates
    args.push(`--ssl-ca=${ca}`, `--ssl-cert=${serverCert}`, `--ssl-key=${serverKey}`, '--require-secure-transport')
  }
  return [...args, ...Object.entries(settings).map(([name, value]) => `--${name}=${value}`)]
}
