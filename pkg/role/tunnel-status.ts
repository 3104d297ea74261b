import type { ServerLinkStatus } from '#konnectivity/agent/options.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import { readTunnelStatus } from '#pkg/component/controller/tunnel-server-status.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { TunnelInfo, TunnelPeer } from '#pkg/status/types.ts'

/** A status must not hang with the tunnel server. */
const ANSWER_WITHIN_MS = 1_000

/**
 * The workers that the tunnel server of this controller has, as it says itself; without those that are lost and no longer in
 * the cluster, as far as that can be told. Never rejects.
 */
export async function workersOfTunnel(adminPort: number, client: ClientSource): Promise<TunnelInfo> {
  try {
    const status = await readTunnelStatus(adminPort, AbortSignal.timeout(ANSWER_WITHIN_MS))
    const nodes = status.losses.length > 0 ? await nodeNames(client).catch(() => undefined) : undefined
    return { Workers: workerPeers(nodes === undefined ? status : withoutFormer(status, nodes)) }
  } catch (err) {
    return { Error: errorMessage(err) }
  }
}

/** Leaves out losses of workers that are none of `nodes`: they were removed from the cluster. Pure. */
export function withoutFormer(status: ServerStatus, nodes: ReadonlySet<string>): ServerStatus {
  return { ...status, losses: status.losses.filter(({ node }) => node === undefined || nodes.has(node)) }
}

async function nodeNames(client: ClientSource): Promise<ReadonlySet<string>> {
  const options = { metadataOnly: true, signal: AbortSignal.timeout(ANSWER_WITHIN_MS) }
  const { items } = await (await client.get()).list(resources.nodes, options)
  return new Set(items.map(({ metadata: { name } }) => name))
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
