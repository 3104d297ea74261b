import type { ChildProcess } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import type { SharedStore } from '#inttest/common/shared-store.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host, HostProcess } from '#inttest/common/host.ts'
import { ended } from '#inttest/common/run.ts'

/** Database servers that a controller's kine can use. */
export type DatabaseKind = 'postgres' | 'mariadb'

const DATA = '/mnt/database'
const CERTIFICATE = '/mnt/server.crt'
const KEY = '/mnt/server.key'
const CA = '/etc/k0s/database-ca.crt'
const HOUR_MS = 3_600_000
/** Only good on the test's own bridge; has what a URL must encode. */
const PASSWORD = 'p%40ss:w%25rd'
const DECODED_PASSWORD = 'p@ss:w%rd'

/** A host that runs one database server, with TLS and a password, for the controllers of its cluster. */
export class DatabaseHost implements SharedStore {
  readonly #host: Host
  readonly #kind: DatabaseKind
  #caPem = ''
  #server: ChildProcess | undefined

  constructor(host: Host, kind: DatabaseKind) {
    this.#host = host
    this.#kind = kind
  }

  /** Boots the host and resolves when the server takes connections. */
  async up(): Promise<void> {
    await this.#host.boot()
    const owner = this.#kind === 'postgres' ? 'postgres' : 'mysql'
    await this.#writeCertificates(owner)
    await this.#host.must(['install', '-d', '-o', owner, '-m', '700', DATA])
    if (this.#kind === 'postgres') await this.#makePostgres()
    else await this.#makeMariadb()
  }

  /** Starts the server on the data that it has; it takes connections a moment later. */
  async start(): Promise<void> {
    const argv = this.#kind === 'postgres' ? await postgresArgv() : mariadbArgv
    this.#server = await this.#host.spawn(argv, 'database')
  }

  /** Ends the server as an administrator does, without waiting for its clients. */
  async stop(): Promise<void> {
    const { pid } = await this.#process()
    process.kill(pid, this.#kind === 'postgres' ? 'SIGINT' : 'SIGTERM')
    if (this.#server) await ended(this.#server)
  }

  /** SIGKILL to every process of the server. */
  async kill(): Promise<void> {
    const { pid } = await this.#process()
    const others = (await this.#host.processes()).filter(({ name }) => name.startsWith('postgres:'))
    for (const each of [pid, ...others.map((other) => other.pid)]) process.kill(each, 'SIGKILL')
    if (this.#server) await ended(this.#server)
  }

  async #process(): Promise<HostProcess> {
    const found = (await this.#host.processes()).find(({ name }) => name === 'postgres' || name === 'mariadbd')
    if (!found) throw new Error(`no ${this.#kind} runs on ${this.#host.name}`)
    return found
  }

  /** The cluster configuration of a controller that keeps its data here. */
  get config(): string {
    const dataSource =
      this.#kind === 'postgres'
        ? `postgres://kine:${PASSWORD}@${this.#host.address}:5432/kubernetes?sslmode=verify-full`
        : `mysql://kine:${DECODED_PASSWORD}@tcp(${this.#host.address}:3306)/kubernetes`
    const kine = { dataSource, extraArgs: { 'ca-file': CA } }
    return JSON.stringify({ spec: { storage: { type: 'kine', kine } } })
  }

  /** Gives a controller the authority of the server's certificate. */
  async introduceTo(controller: Host): Promise<void> {
    await controller.write(CA, this.#caPem)
  }

  async #writeCertificates(owner: string): Promise<void> {
    const ca = createCa({ commonName: 'database-ca', validForMs: HOUR_MS })
    const ips = [this.#host.address]
    const server = issueCertificate(ca, { commonName: 'database', ips, usages: ['server'], validForMs: HOUR_MS })
    this.#caPem = ca.certPem
    await this.#host.write(CERTIFICATE, server.certPem)
    await this.#host.write(KEY, server.keyPem)
    await this.#host.must(['chown', owner, CERTIFICATE, KEY])
    await this.#host.must(['chmod', '600', KEY])
  }

  async #makePostgres(): Promise<void> {
    const bin = await postgresBin()
    await this.#host.must([...asPostgres, join(bin, 'initdb'), '-D', DATA, '-A', 'trust', '-U', 'postgres'])
    await this.#host.write(`${DATA}/pg_hba.conf`, 'local all all trust\nhostssl all all all scram-sha-256\n')
    await this.start()
    const sql = `CREATE ROLE kine LOGIN CREATEDB PASSWORD '${DECODED_PASSWORD}'`
    await eventually('PostgreSQL answers', 60_000, () =>
      this.#host.must([join(bin, 'psql'), '-h', DATA, '-U', 'postgres', '-c', sql]),
    )
  }

  async #makeMariadb(): Promise<void> {
    await this.#host.must(['mariadb-install-db', ...mariadbData, '--auth-root-authentication-method=socket'])
    await this.start()
    const sql = `CREATE USER kine IDENTIFIED BY '${DECODED_PASSWORD}'; GRANT ALL ON kubernetes.* TO kine`
    await eventually('MariaDB answers', 60_000, () =>
      this.#host.must(['mariadb', '--no-defaults', `--socket=${MARIADB_SOCKET}`, '-e', sql]),
    )
  }
}

const asPostgres = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups']

async function postgresBin(): Promise<string> {
  const [version = ''] = (await readdir('/usr/lib/postgresql')).sort().reverse()
  return join('/usr/lib/postgresql', version, 'bin')
}

async function postgresArgv(): Promise<readonly string[]> {
  const settings = { listen_addresses: '*', ssl: 'on', ssl_cert_file: CERTIFICATE, ssl_key_file: KEY }
  const args = Object.entries({ ...settings, unix_socket_directories: DATA }).flatMap(([k, v]) => ['-c', `${k}=${v}`])
  return [...asPostgres, join(await postgresBin(), 'postgres'), '-D', DATA, ...args]
}

const MARIADB_SOCKET = `${DATA}/server.sock`
const mariadbData = ['--no-defaults', '--user=mysql', `--datadir=${DATA}`]
const mariadbTls = [`--ssl-cert=${CERTIFICATE}`, `--ssl-key=${KEY}`, '--require-secure-transport=ON']
const mariadbListen = [`--socket=${MARIADB_SOCKET}`, '--bind-address=0.0.0.0', '--skip-name-resolve']
const mariadbArgv = ['/usr/sbin/mariadbd', ...mariadbData, ...mariadbTls, ...mariadbListen]
