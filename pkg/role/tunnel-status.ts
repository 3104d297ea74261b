import type { ServerLinkStatus } from '#konnectivity/agent/options.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import { readTunnelStatus } from '#pkg/component/controller/tunnel-server-status.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { TunnelInfo, TunnelPeer } from '#pkg/status/types.ts'

/** A status must not hang with the tunnel server. */
const ANSWER_WITHIN_MS = 1_000

/** The workers that the tunnel server of this controller has, as it says itself. Never rejects. */
export async function workersOfTunnel(adminPort: number): Promise<TunnelInfo> {
  try {
    return { Workers: workerPeers(await readTunnelStatus(adminPort, AbortSignal.timeout(ANSWER_WITHIN_MS))) }
  } catch (err) {
    return { Error: errorMessage(err) }
  }
}

/** A row for each session of an agent and for each agent that is lost, by name. Pure. */
export function workerPeers({ agents, losses }: ServerStatus): readonly TunnelPeer[] {
  const nameOf = ({ node, agentId }: { readonly node?: string | undefined; readonly agentId: string }): string =>
    node ?? agentId
  const lossOf = new Map(losses.map((loss) => [nameOf(loss), loss]))
  const present = agents.map((agent) => {
    const loss = lossOf.get(nameOf(agent))
    return {
      name: nameOf(agent),
      address: agent.remote,
      state: agent.draining ? 'draining' : 'connected',
      since: agent.since,
      roundTripMs: agent.rttMs,
      openConnections: agent.openConnections,
      bytesToEndpoints: agent.bytesToEndpoints,
      bytesFromEndpoints: agent.bytesFromEndpoints,
      losses: loss?.count ?? 0,
      lastError: loss?.reason,
    }
  })
  const connected = new Set(present.map(({ name }) => name))
  const lost = losses
    .filter((loss) => !connected.has(nameOf(loss)))
    .map((loss) => ({
      name: nameOf(loss),
      address: '-',
      state: 'lost',
      since: loss.at,
      openConnections: 0,
      bytesToEndpoints: 0,
      bytesFromEndpoints: 0,
      losses: loss.count,
      lastError: loss.reason,
    }))
  return [...present, ...lost].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** The tunnel servers that the agent of this node keeps connections to. Pure. */
export function controllerPeers(links: readonly ServerLinkStatus[]): readonly TunnelPeer[] {
  return links.map((link) => ({
    name: link.serverId ?? '-',
    address: link.server,
    state: link.state,
    since: link.connectedSince,
    roundTripMs: link.rttMs,
    openConnections: link.openConnections,
    bytesToEndpoints: link.bytesToEndpoints,
    bytesFromEndpoints: link.bytesFromEndpoints,
    losses: link.disconnects,
    lastError: link.lastError,
  }))
}
