import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createCa } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'

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
export class DatabaseHost {
  readonly #host: Host
  readonly #kind: DatabaseKind
  #caPem = ''

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
    if (this.#kind === 'postgres') await this.#startPostgres()
    else await this.#startMariadb()
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

  async #startPostgres(): Promise<void> {
    const [version = ''] = (await readdir('/usr/lib/postgresql')).sort().reverse()
    const bin = join('/usr/lib/postgresql', version, 'bin')
    const asOwner = ['setpriv', '--reuid', 'postgres', '--regid', 'postgres', '--clear-groups']
    await this.#host.must([...asOwner, join(bin, 'initdb'), '-D', DATA, '-A', 'trust', '-U', 'postgres'])
    const settings = { listen_addresses: '*', ssl: 'on', ssl_cert_file: CERTIFICATE, ssl_key_file: KEY }
    const args = Object.entries({ ...settings, unix_socket_directories: DATA }).flatMap(([k, v]) => ['-c', `${k}=${v}`])
    await this.#host.write(`${DATA}/pg_hba.conf`, 'local all all trust\nhostssl all all all scram-sha-256\n')
    await this.#host.spawn([...asOwner, join(bin, 'postgres'), '-D', DATA, ...args], 'database')
    const sql = `CREATE ROLE kine LOGIN CREATEDB PASSWORD '${DECODED_PASSWORD}'`
    await eventually('PostgreSQL answers', 60_000, () =>
      this.#host.must([join(bin, 'psql'), '-h', DATA, '-U', 'postgres', '-c', sql]),
    )
  }

  async #startMariadb(): Promise<void> {
    const socket = `${DATA}/server.sock`
    const common = ['--no-defaults', '--user=mysql', `--datadir=${DATA}`]
    await this.#host.must(['mariadb-install-db', ...common, '--auth-root-authentication-method=socket'])
    const tls = [`--ssl-cert=${CERTIFICATE}`, `--ssl-key=${KEY}`, '--require-secure-transport=ON']
    const args = [...common, ...tls, `--socket=${socket}`, '--bind-address=0.0.0.0', '--skip-name-resolve']
    await this.#host.spawn(['/usr/sbin/mariadbd', ...args], 'database')
    const sql = `CREATE USER kine IDENTIFIED BY '${DECODED_PASSWORD}'; GRANT ALL ON kubernetes.* TO kine`
    await eventually('MariaDB answers', 60_000, () =>
      this.#host.must(['mariadb', '--no-defaults', `--socket=${socket}`, '-e', sql]),
    )
  }
}
