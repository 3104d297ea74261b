import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:tls'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import type { Finished } from '#inttest/common/run.ts'

/** An address that one of a cluster's controllers has at a time, as a user of the cluster sees it. */
export class VirtualAddress {
  readonly address: string
  readonly #cluster: Cluster
  readonly #outside: Host

  /** `outside` stands for a user: a host on which nothing of k0s runs. */
  constructor(address: string, { cluster, outside }: { readonly cluster: Cluster; readonly outside: Host }) {
    this.address = address
    this.#cluster = cluster
    this.#outside = outside
  }

  /** Gives the user an administrator's kubeconfig that knows this address only. */
  async introduce(): Promise<void> {
    const kubeconfig = await this.#cluster.controller.must(['cat', '/var/lib/k0s/pki/admin.conf'])
    assert.ok(kubeconfig.includes('server: https://'), kubeconfig.replace(/key-data: .*/g, ''))
    const server = `server: https://${this.address}:6443`
    await this.#outside.write('/etc/k0s/kubeconfig', kubeconfig.replace(/server: .*/, server))
  }

  /** kubectl of that user. */
  async kubectl(args: readonly string[]): Promise<Finished> {
    return await this.#outside.k0s(['kubectl', '--kubeconfig=/etc/k0s/kubeconfig', '--request-timeout=5s', ...args])
  }

  /** A token for workers that knows this address, made without asking the cluster, which then is told of it. */
  async preSharedToken(controller: Host): Promise<string> {
    const authority = '--cert=/var/lib/k0s/pki/ca.crt'
    const make = ['token', 'pre-shared', authority, `--url=https://${this.address}:6443`, '--valid=1h', '--out=/run']
    const { code, stdout, stderr } = await controller.k0s(make)
    assert.equal(code, 0, stderr)
    const [token = '', secret = ''] = stdout.trim().split('\n')
    const applied = await controller.k0s(['kubectl', 'apply', '-f', secret])
    assert.equal(applied.code, 0, applied.stderr)
    return await controller.must(['cat', token])
  }

  /** One request, with a connection of its own. */
  async request(): Promise<void> {
    const { code, stdout, stderr } = await this.kubectl(['get', '--raw', '/readyz'])
    assert.equal(code, 0, stderr)
    assert.equal(stdout, 'ok')
  }

  /** The controllers that have it on an interface. */
  async holders(among: readonly Host[] = this.#cluster.controllers): Promise<readonly Host[]> {
    const found: Host[] = []
    for (const host of among) {
      const listed = await host.must(['ip', '-o', 'address', 'show'])
      if (listed.includes(` ${this.address}/`)) found.push(host)
    }
    return found
  }

  /** The one controller that has it. */
  async holder(among?: readonly Host[]): Promise<Host> {
    const [first, ...more] = await this.holders(among)
    assert.ok(first !== undefined, 'no controller has the address')
    assert.deepEqual(
      more.map(({ name }) => name),
      [],
      `${first.name} has it, too`,
    )
    return first
  }

  /** Waits until one of the controllers beside `host` has it and answers; prints how long that took since `began`. */
  async movedFrom(host: Host, what: string, began: number): Promise<Host> {
    const others = this.#cluster.controllers.filter((other) => other !== host)
    const next = await eventually('another controller has the address', 60_000, () => this.holder(others))
    const moved = Date.now() - began
    await eventually('requests are answered', 60_000, () => this.request())
    const answered = Date.now() - began
    console.log(`      ${what} of ${host.name}: on ${next.name} after ${moved} ms, answers after ${answered} ms`)
    return next
  }

  /** Names of the controllers whose API servers answer `count` connections made one after the other; every one has to be answered. */
  async answering(count: number): Promise<readonly string[]> {
    const names = new Map<string, string>()
    for (const host of this.#cluster.controllers) {
      names.set(await fingerprint(host), host.name)
    }
    const found = new Set<string>()
    for (let i = 0; i < count; i += 1) {
      const server = names.get(await this.#peer())
      assert.ok(server !== undefined, 'the certificate is of no controller')
      found.add(server)
    }
    return [...found].sort()
  }

  /** Which API server a new connection reaches: each has a certificate of its own. */
  async #peer(): Promise<string> {
    const socket = connect({ host: this.address, port: 6443, rejectUnauthorized: false })
    try {
      await once(socket, 'secureConnect', { signal: AbortSignal.timeout(10_000) })
      return createHash('sha256').update(socket.getPeerCertificate().raw).digest('hex')
    } finally {
      socket.destroy()
    }
  }
}

/** Of the certificate of the API server, from the controller's disk, which is there without power, too. */
async function fingerprint(host: Host): Promise<string> {
  const pem = await readFile(host.diskPath('/var/lib/k0s/pki/server.crt'), 'utf8')
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex')
}
