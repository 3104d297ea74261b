import type { BackendManager } from '#konnectivity/server/backend-manager.ts'
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
}

/** The page /status of the admin endpoint. */
export interface ServerStatus {
  readonly agents: readonly AgentStatus[]
  readonly openConnections: number
}

/** Reads the current state. */
export function serverStatus(manager: BackendManager, connections: OpenConnections): ServerStatus {
  return {
    openConnections: connections.size,
    agents: manager.list().map((backend) => ({
      agentId: backend.identity.agentId,
      node: backend.identity.nodeName,
      remote: backend.remoteAddress,
      since: backend.since.toISOString(),
      flow: backend.flow,
      rttMs: backend.rttMs,
      pendingDials: backend.pendingDials,
      draining: backend.draining,
    })),
  }
}
