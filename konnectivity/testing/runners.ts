import { join } from 'node:path'
import { silentLogger } from '#pkg/log/logger.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import type { KonnectivityAgentDeps, KonnectivityAgentOptions } from '#konnectivity/agent/options.ts'
import type { KonnectivityServerOptions } from '#konnectivity/server/options.ts'
import { KonnectivityServer } from '#konnectivity/server/server.ts'
import type { KonnectivityServerDeps, ServerAddresses } from '#konnectivity/server/server.ts'
import { TestCa } from '#konnectivity/testing/certificates.ts'
import type { CertificateTools, TestSubject } from '#konnectivity/testing/certificates.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

/** A server that listens, with what a test needs to reach it. */
export interface RunningServer {
  readonly server: KonnectivityServer
  readonly addresses: ServerAddresses
  readonly udsName: string
}

/** Servers and agents in this process, on loopback; disposing stops all of them. */
export class TunnelFixture implements AsyncDisposable {
  readonly ca: TestCa
  readonly #stack = new AsyncDisposableStack()
  readonly #log: Logger
  #count = 0

  private constructor(ca: TestCa, log: Logger) {
    this.ca = ca
    this.#log = log
    this.#stack.use(ca)
  }

  /** A fixture with a CA of its own. */
  static async create<Ca extends { readonly certPem: string }>(
    tools: CertificateTools<Ca>,
    log: Logger = silentLogger,
  ): Promise<TunnelFixture> {
    return new TunnelFixture(await TestCa.create(tools), log)
  }

  /** Something else that ends with the fixture. */
  defer(fn: () => Promise<void> | void): void {
    this.#stack.defer(fn)
  }

  /** Starts a server on free ports with a unix socket frontend. */
  async startServer(
    options: Partial<KonnectivityServerOptions> = {},
    deps: Partial<KonnectivityServerDeps> = {},
  ): Promise<RunningServer> {
    this.#count += 1
    const udsName = join(this.ca.dir, `frontend-${this.#count}.sock`)
    const certificate = await this.ca.issue({ commonName: 'konnectivity-server' })
    const server = new KonnectivityServer(
      {
        udsName,
        agentPort: 0,
        agentBindAddress: '127.0.0.1',
        healthPort: 0,
        adminPort: 0,
        agentWaitMs: 0,
        clusterCert: certificate.certPath,
        clusterKey: certificate.keyPath,
        clusterCaCert: this.ca.caPath,
        ...options,
      },
      { log: this.#log, ...deps },
    )
    this.#stack.defer(() => server.stop())
    return { server, addresses: await server.start(), udsName }
  }

  /** Starts an agent of node `nodeName` for the servers' ports and waits until all of them have it. */
  async startAgent(
    nodeName: string,
    agentPorts: readonly number[],
    options: Partial<KonnectivityAgentOptions> = {},
    deps: Partial<KonnectivityAgentDeps> = {},
  ): Promise<KonnectivityAgent> {
    const { certPem, keyPem } = await this.ca.issue(agentSubject(nodeName))
    const agent = new KonnectivityAgent(
      {
        nodeName,
        identifiers: {},
        servers: agentPorts.map((port) => ({ host: '127.0.0.1', port })),
        tls: { caPem: this.ca.caPem, certPem, keyPem },
        ...options,
      },
      { log: this.#log, ...deps },
    )
    this.#stack.defer(() => agent.stop())
    agent.start()
    await until(() => agent.status().every(({ state }) => state === 'connected'), 'agent is connected')
    return agent
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync()
  }
}

/** The subject that the server's authenticator asks for. */
export function agentSubject(nodeName: string): TestSubject {
  return { commonName: `k0s:tunnel-agent:${nodeName}`, organizations: ['k0s:tunnel-agents'] }
}
