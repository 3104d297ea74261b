import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { createCa, type CertificateAuthority } from '#pkg/certificate/authority.ts'
import { issueCertificate } from '#pkg/certificate/issue.ts'
import { EtcdClient } from '#pkg/etcd/client.ts'
import { fetchMembers, type EtcdTls } from '#pkg/etcd/peer.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { promoteSelf } from '#pkg/component/controller/etcd-promotion.ts'
import { freePort } from '#pkg/kine/testing/servers.ts'

/** The real etcd of this product, built by `make bins`. */
const ETCD = resolve('embedded-bins/staging/bin/etcd')

/** An authority for the members of one test. */
export function testAuthority(): CertificateAuthority {
  return createCa({ commonName: 'etcd-ca', validForMs: 3_600_000 })
}

/** A certificate with which clients and members are let in. */
export function testTls(ca: CertificateAuthority): EtcdTls {
  const request = {
    commonName: 'test',
    ips: ['127.0.0.1'],
    dnsNames: ['localhost'],
    usages: ['server', 'client'],
    validForMs: 3_600_000,
  } as const
  const { certPem, keyPem } = issueCertificate(ca, request)
  return { caPem: ca.certPem, certPem, keyPem }
}

/** One etcd of a test, on loopback with TLS as the product runs it. */
export class TestMember {
  readonly name: string
  readonly peerUrl: string
  readonly clientUrl: string
  readonly #dir: string
  readonly #tls: EtcdTls
  #child: ChildProcess | undefined

  private constructor(name: string, dir: string, tls: EtcdTls, ports: readonly [number, number]) {
    this.name = name
    this.#dir = dir
    this.#tls = tls
    this.peerUrl = `https://127.0.0.1:${String(ports[0])}`
    this.clientUrl = `https://127.0.0.1:${String(ports[1])}`
  }

  /** A member that is not started yet. */
  static async make(name: string, dir: string, tls: EtcdTls): Promise<TestMember> {
    return new TestMember(name, join(dir, name), tls, [await freePort(), await freePort()])
  }

  /** Starts it, as the first of a cluster or with the members that it joins, and waits until it votes. */
  async start(initialCluster?: readonly string[]): Promise<void> {
    await mkdir(this.#dir, { recursive: true })
    const pem = async (name: string, text: string): Promise<string> => {
      await writeFile(join(this.#dir, name), text)
      return join(this.#dir, name)
    }
    const [ca, cert, key] = [
      await pem('ca.crt', this.#tls.caPem),
      await pem('tls.crt', this.#tls.certPem),
      await pem('tls.key', this.#tls.keyPem),
    ]
    const flags = {
      name: this.name,
      'data-dir': join(this.#dir, 'data'),
      'listen-client-urls': this.clientUrl,
      'advertise-client-urls': this.clientUrl,
      'listen-peer-urls': this.peerUrl,
      'initial-advertise-peer-urls': this.peerUrl,
      'initial-cluster': initialCluster?.join(',') ?? `${this.name}=${this.peerUrl}`,
      'initial-cluster-state': initialCluster === undefined ? 'new' : 'existing',
      'trusted-ca-file': ca,
      'cert-file': cert,
      'key-file': key,
      'client-cert-auth': 'true',
      'peer-trusted-ca-file': ca,
      'peer-cert-file': cert,
      'peer-key-file': key,
      'peer-client-cert-auth': 'true',
      'log-level': 'error',
      'unsafe-no-fsync': 'true',
    }
    const spawnIt = (): void => {
      this.#child = spawn(
        ETCD,
        Object.entries(flags).map(([flag, value]) => `--${flag}=${value}`),
        { stdio: 'ignore' },
      )
    }
    spawnIt()
    if (initialCluster === undefined) {
      await this.eventually('it answers', () => fetchMembers(this.peerUrl, this.#ask()))
      return
    }
    // As a controller that joins: it asks from the first moment on.
    const own = { peerUrl: this.peerUrl, tls: this.#tls, initialCluster }
    const signal = AbortSignal.timeout(30_000)
    const restart = async (): Promise<void> => {
      await this.kill()
      spawnIt()
    }
    await promoteSelf(own, { signal, log: silentLogger, onWaiting: () => undefined, restart })
  }

  client(): EtcdClient {
    return new EtcdClient({ endpoints: [this.clientUrl], tls: this.#tls })
  }

  /** SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined) return
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }

  /** Its disk is gone. */
  async forget(): Promise<void> {
    await this.kill()
    await rm(join(this.#dir, 'data'), { recursive: true, force: true })
  }

  async eventually<T>(what: string, probe: () => Promise<T>): Promise<T> {
    const deadline = Date.now() + 30_000
    for (;;) {
      try {
        return await probe()
      } catch (cause) {
        if (Date.now() > deadline) throw new Error(`${this.name}: ${what}: not within 30 s`, { cause })
        await new Promise((wait) => setTimeout(wait, 50))
      }
    }
  }

  #ask(): { readonly tls: EtcdTls; readonly signal: AbortSignal } {
    return { tls: this.#tls, signal: AbortSignal.timeout(5_000) }
  }
}
