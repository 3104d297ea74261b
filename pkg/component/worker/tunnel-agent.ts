import { isIPv4 } from 'node:net'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import type { AgentTls, ServerAddress, ServerLinkStatus } from '#konnectivity/agent/options.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import { identityPemFile } from '#pkg/component/worker/layout.ts'
import { nodeIp } from '#pkg/component/worker/node-ip.ts'
import { readPemPair } from '#pkg/component/worker/pem-file.ts'
import type { WorkerCertificates } from '#pkg/component/worker/worker-certificates.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The component, with what `k0s status` shows of it. */
export interface TunnelAgentComponent extends Component {
  readonly name: typeof TUNNEL_AGENT
  /** Its connections; none while it does not run. */
  links(): readonly ServerLinkStatus[]
}

const TUNNEL_AGENT = 'konnectivity-agent'
/** An `exec` or `logs -f` may go on for this long after the worker was told to stop; what is silent ends after a second. */
const DRAIN_MS = 30_000

/** Finds the tunnel agent among the components of a node. */
export function isTunnelAgent(component: Component): component is TunnelAgentComponent {
  return component.name === TUNNEL_AGENT
}

/** The controllers' way back to this node: one connection to the tunnel server of each. */
export function tunnelAgent(context: WorkerContext, certificates: WorkerCertificates): TunnelAgentComponent {
  const ends: (() => void)[] = []
  let agent: KonnectivityAgent | undefined
  return {
    name: TUNNEL_AGENT,
    links: () => agent?.status() ?? [],
    after: ['worker-certificates', 'worker-config', ...context.options.startAfter.api],
    start: async (start) => {
      const running = await createAgent(context, start)
      agent = running
      running.start()
      ends.push(context.config.follow(() => running.setServers(tunnelServers(context))))
      const renew = async (): Promise<void> => running.setTls(await tlsOf(context))
      ends.push(
        certificates.onRenewed((identity) => {
          if (identity !== 'tunnelAgent') return
          renew().catch((err: unknown) => start.log.warn('tunnel certificate not renewed', { err: errorMessage(err) }))
        }),
      )
    },
    ready: async () => {
      await Promise.resolve()
      const links = agent?.status() ?? []
      if (links.some(({ state }) => state === 'connected')) return
      const reasons = links.map(({ server, state, lastError }) => `${server}: ${lastError ?? state}`)
      throw new Error(`no connection to a tunnel server (${reasons.join('; ')})`)
    },
    stop: async () => {
      for (const end of ends.splice(0)) end()
      await agent?.stop({ drainMs: DRAIN_MS })
      agent = undefined
    },
  }
}

async function createAgent(context: WorkerContext, { log }: StartContext): Promise<KonnectivityAgent> {
  const { nodeName } = context.options
  const address = await nodeIp(context)
  return new KonnectivityAgent(
    {
      nodeName,
      identifiers: { ...(isIPv4(address) ? { ipv4: [address] } : { ipv6: [address] }), host: [nodeName] },
      servers: tunnelServers(context),
      tls: await tlsOf(context),
    },
    { log },
  )
}

async function tlsOf({ options, deps }: WorkerContext): Promise<AgentTls> {
  const file = identityPemFile(options.vars, 'tunnelAgent')
  const pair = await readPemPair(file)
  if (pair === undefined) throw new Error(`${file} is not a certificate with its key`)
  return { caPem: deps.credentials.caPem, certPem: pair.certPem, keyPem: pair.keyPem }
}

/** The tunnel server of each controller, beside its API server. */
function tunnelServers({ config }: WorkerContext): readonly ServerAddress[] {
  const { apiServerAddresses, konnectivity } = config.get()
  return apiServerAddresses.map((address) => ({ host: splitHostPort(address).host, port: konnectivity.agentPort }))
}
