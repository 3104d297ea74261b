import type { ConnectionOptions } from '#pkg/http2/options.ts'
import type { WindowBudget } from '#pkg/http2/window-budget.ts'

/** gRPC methods (no package in upstream's proto files) and the path of our streams extension. */
export const paths = {
  /** Frontend leg: kube-apiserver in GRPC mode. */
  proxy: '/ProxyService/Proxy',
  /** Agent leg: one control stream a session. */
  connect: '/AgentService/Connect',
  /** Agent leg, extension: one HTTP/2 stream for each tunnelled connection, opened by the agent. */
  connection: '/k0s.tunnel.v1.Tunnel/Connection',
} as const

/** Metadata of the agent leg, lower case as HTTP/2 demands; all but the `x-k0s-` ones are upstream's. */
export const metadata = {
  agentId: 'agentid',
  agentIdentifiers: 'agentidentifiers',
  serverId: 'serverid',
  serverCount: 'servercount',
  /** Offered by our agent, echoed by our server: `streams/1` turns native streams on. */
  flow: 'x-k0s-tunnel-flow',
  /** On a connection stream: the `random` of the DIAL_REQ that it answers. */
  dial: 'x-k0s-tunnel-dial',
} as const

/** Value of `metadata.flow`: a stream for each connection. */
export const STREAMS_FLOW = 'streams/1'

/** Upstream's limit: the default maximum of a gRPC message in Go. */
export const MAX_MESSAGE_BYTES = 4 * 1024 * 1024

/** Payload of one DATA packet towards an upstream peer, at most. */
export const MAX_DATA_BYTES = 64 * 1024

/**
 * How both ends speak HTTP/2. A stream's window is what one blocked reader can make the other side hold, and at the same
 * time what its connection moves in a round trip: it begins small and grows for readers that keep up.
 */
export function connectionOptions(role: 'server' | 'client', budget: WindowBudget): ConnectionOptions {
  return {
    role,
    streamWindowBytes: 128 * 1024,
    connectionWindowBytes: 16 * 1024 * 1024,
    maxFrameBytes: 128 * 1024,
    maxStreams: 65_536,
    maxWaitingBytes: 8 * 1024 * 1024,
    gather: 'turn',
    duplex: { maxStreamWindowBytes: 1024 * 1024, budget },
  }
}

/** What the readers of a process that keep up may have in flight together; see WindowBudget. */
export const WINDOW_BUDGET_BYTES = 256 * 1024 * 1024
