import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { createCa, type CertificateAuthority } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import type { SharedStore } from '#inttest/common/shared-store.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { checkout } from '#inttest/common/names.ts'
import { ended } from '#inttest/common/run.ts'

const DATA = '/mnt/etcd'
const HOUR_MS = 3_600_000
const staging = join(checkout, 'embedded-bins', 'staging')
const files = {
  caFile: '/etc/k0s/external-etcd/ca.crt',
  clientCertFile: '/etc/k0s/external-etcd/client.crt',
  clientKeyFile: '/etc/k0s/external-etcd/client.key',
}

/** An etcd that is not the product's, with TLS both ways, which holds the data of others, too. */
export class ExternalEtcd implements SharedStore {
  /** All keys of the cluster are below it. */
  static readonly prefix = 'tenants/one'
  readonly #host: Host
  readonly #ca: CertificateAuthority = createCa({ commonName: 'external-etcd-ca', validForMs: HOUR_MS })
  #server: ChildProcess | undefined

  constructor(host: Host) {
    this.#host = host
  }

  get config(): string {
    const externalCluster = { endpoints: [this.#url], etcdPrefix: ExternalEtcd.prefix, ...files }
    return JSON.stringify({ spec: { storage: { type: 'etcd', etcd: { externalCluster } } } })
  }

  async up(): Promise<void> {
    await this.#host.boot()
    const ips = [this.#host.address, '127.0.0.1']
    const server = issueCertificate(this.#ca, { commonName: 'etcd', ips, usages: ['server'], validForMs: HOUR_MS })
    await this.#host.write('/mnt/server.crt', server.certPem)
    await this.#host.write('/mnt/server.key', server.keyPem)
    await this.introduceTo(this.#host)
    await this.start()
    await eventually('etcd answers', 60_000, () => this.etcdctl(['endpoint', 'health']))
  }

  async introduceTo(controller: Host): Promise<void> {
    const client = issueCertificate(this.#ca, { commonName: 'k0s', usages: ['client'], validForMs: HOUR_MS })
    await controller.write(files.caFile, this.#ca.certPem)
    await controller.write(files.clientCertFile, client.certPem)
    await controller.write(files.clientKeyFile, client.keyPem)
    await controller.must(['chmod', '600', files.clientKeyFile])
  }

  async start(): Promise<void> {
    this.#server = await this.#host.spawn(
      [
        join(staging, 'bin', 'etcd'),
        `--data-dir=${DATA}`,
        `--listen-client-urls=${this.#url},https://127.0.0.1:2379`,
        `--advertise-client-urls=${this.#url}`,
        '--cert-file=/mnt/server.crt',
        '--key-file=/mnt/server.key',
        `--trusted-ca-file=${files.caFile}`,
        '--client-cert-auth',
        '--log-level=warn',
      ],
      'database',
    )
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** etcd's own tool, on the host of the server. */
  async etcdctl(args: readonly string[]): Promise<string> {
    const tls = [`--cacert=${files.caFile}`, `--cert=${files.clientCertFile}`, `--key=${files.clientKeyFile}`]
    return this.#host.must([join(staging, 'test-bin', 'etcdctl'), ...tls, ...args])
  }

  get #url(): string {
    return `https://${this.#host.address}:2379`
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const found = (await this.#host.processes()).find(({ name }) => name === 'etcd')
    if (!found) throw new Error(`no etcd runs on ${this.#host.name}`)
    process.kill(found.pid, signal)
    if (this.#server) await ended(this.#server)
  }
}
