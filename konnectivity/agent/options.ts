import type { Logger } from '#pkg/log/logger.ts'

/** Where a tunnel server listens for agents. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
}

/** The agent's identity and the servers' CA. */
export interface AgentTls {
  /** Undefined: the authorities that Node.js trusts. */
  readonly caPem: string | undefined
  /** Undefined, with its key: an agent that proves itself by a token. */
  readonly certPem: string | undefined
  readonly keyPem: string | undefined
  /** Offered before h2, to be told from other clients of one address. */
  readonly alpnProtocols?: readonly string[] | undefined
}

/** Options of an agent inside a program; the command's are in run.ts. */
export interface KonnectivityAgentOptions {
  /** Metadata agentID: names the agent in logs and status. The node name. */
  readonly nodeName: string
  /** Addresses of the node itself, whose traffic must come through this agent. */
  readonly identifiers: {
    readonly ipv4?: readonly string[]
    readonly ipv6?: readonly string[]
    /** Only servers that do not read the node name from the certificate look at it (upstream's). */
    readonly host?: readonly string[]
    /** Networks behind the agent. Sent as upstream does; no strategy looks at them. */
    readonly cidr?: readonly string[]
    readonly defaultRoute?: boolean
  }
  /** Every one of them gets a connection; one that is a load balancer gets as many as there are servers. */
  readonly servers: readonly ServerAddress[]
  readonly tls: AgentTls
  /** Called at each connect; while it fails, what was read last is used. */
  readonly readTls?: () => Promise<AgentTls>
  /** Bearer token for servers that authenticate by it, asked for at each connect. */
  readonly readToken?: () => Promise<string>
  /** Metadata agentID where it is not the node name. */
  readonly agentId?: string
  /** Default 5 s, as upstream. */
  readonly endpointDialTimeoutMs?: number
  /** How the servers behind an address are found. */
  readonly discovery?: DiscoveryOptions
  /** With server leases: `default` counts them alone, `max` the larger one of their count and the servers' own. */
  readonly serverCountSource?: 'default' | 'max'
  /**
   * What readers that keep up may have in flight together, beyond the first window of each; and, as much again, what waits for
   * endpoints behind upstream servers. Default 256 MiB.
   */
  readonly bufferLimitBytes?: number
  /** Time between pings of a server that is not ours, milliseconds. Default and minimum 35 s. */
  readonly keepaliveMs?: number
  /**
   * After so many dials a connection to a server is replaced, while it serves what is open. Default 2^29: the numbers of HTTP/2's
   * streams end at 2^30 dials (RFC 9113, 5.1.1).
   */
  readonly dialsPerConnection?: number
  /** `packets`: does not offer a stream for each connection, as upstream's agents do not. Default `streams`. */
  readonly flow?: 'streams' | 'packets'
}

/** How an agent looks for servers it does not know yet. */
export interface DiscoveryOptions {
  /** Pause before the next try when one led to a server that is known. Default 1 s. */
  readonly syncIntervalMs?: number
  /** Longest pause when it does so again and again. Default 10 s. */
  readonly syncIntervalCapMs?: number
  /** Go on looking when as many servers are connected as there should be. Default false. */
  readonly syncForever?: boolean
}

/** Upstream's defaults. */
export const discoveryDefaults = {
  syncIntervalMs: 1_000,
  syncIntervalCapMs: 10_000,
  syncForever: false,
} as const satisfies Required<DiscoveryOptions>

/** Counts servers by their leases. */
export interface ServerLeases {
  /** Leases that are valid now; undefined while unknown. */
  count(): number | undefined
}

/** Collaborators of an agent. */
export interface KonnectivityAgentDeps {
  readonly log: Logger
  /** Upstream's --count-server-leases. */
  readonly leases?: ServerLeases
}

/** State of one connection to a server, or of an address without any. */
export interface ServerLinkStatus {
  /** host:port as configured. */
  readonly server: string
  readonly state: 'connecting' | 'connected' | 'draining' | 'waiting' | 'stopped'
  /** From the server, once connected. */
  readonly serverId: string | undefined
  /** ISO 8601, while connected. */
  readonly connectedSince: string | undefined
  /** `packets` towards an upstream server: no flow control for single connections. */
  readonly flow: 'streams' | 'packets' | undefined
  /** Round trip of the last keepalive ping, milliseconds. */
  readonly rttMs: number | undefined
  readonly openConnections: number
  /** Payload bytes since start, by direction as the endpoint sees them. */
  readonly bytesToEndpoints: number
  readonly bytesFromEndpoints: number
  /** Times that the connection was lost since start. */
  readonly disconnects: number
  readonly lastError: string | undefined
}
