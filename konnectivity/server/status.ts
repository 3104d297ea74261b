import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
import type { AgentLoss, LostAgents } from '#konnectivity/server/lost-agents.ts'
import type { OpenConnections } from '#konnectivity/server/open-connections.ts'

/** What the server knows of one agent. */
export interface AgentStatus {
  readonly agentId: string
  readonly node: string | undefined
  readonly remote: string
  readonly since: string
  readonly flow: 'streams' | 'packets'
  readonly rttMs: number | undefined
  readonly pendingDials: number
  readonly draining: boolean
  readonly openConnections: number
  /** Payload bytes since it connected, by direction as the endpoint sees them. */
  readonly bytesToEndpoints: number
  readonly bytesFromEndpoints: number
}

/** The page /status of the admin endpoint. */
export interface ServerStatus {
  readonly serverId: string | undefined
  /** ISO 8601. */
  readonly startedAt: string
  readonly agents: readonly AgentStatus[]
  /** The agents that lost a connection since then, whether they came back or not; the newest loss last. */
  readonly losses: readonly AgentLoss[]
  readonly openConnections: number
}

/** What the status is read from. */
export interface StatusSources {
  readonly serverId: string | undefined
  readonly startedAt: Date
  readonly manager: BackendManager
  readonly connections: OpenConnections
  readonly lost: LostAgents
}

/** Reads the current state. */
export function serverStatus({ serverId, startedAt, manager, connections, lost }: StatusSources): ServerStatus {
  return {
    serverId,
    startedAt: startedAt.toISOString(),
    openConnections: connections.size,
    losses: lost.list(),
    agents: manager.list().map((backend) => ({
      agentId: backend.identity.agentId,
      node: backend.identity.nodeName,
      remote: backend.remoteAddress,
      since: backend.since.toISOString(),
      flow: backend.flow,
      rttMs: backend.rttMs,
      pendingDials: backend.pendingDials,
      draining: backend.draining,
      openConnections: backend.traffic.openConnections,
      bytesToEndpoints: backend.traffic.bytesToEndpoints,
      bytesFromEndpoints: backend.traffic.bytesFromEndpoints,
    })),
  }
}
