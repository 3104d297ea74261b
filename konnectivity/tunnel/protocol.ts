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

/** Unread bytes of one connection on a shared stream; beyond it that connection is reset, see PacketConnection. */
export const RECEIVE_LIMIT_BYTES = 4 * 1024 * 1024

/**
 * HTTP/2 settings of both ends. The default window of 64 KiB caps a connection at 64 KiB a round trip; the window is at
 * the same time what one blocked reader can make the other side hold.
 */
export const http2Settings = {
  initialWindowSize: 1024 * 1024,
  maxFrameSize: 256 * 1024,
  maxConcurrentStreams: 65_536,
  enablePush: false,
} as const

/** Window of a whole session, which Node.js refills on receipt: it bounds bytes in flight, not bytes unread. */
export const SESSION_WINDOW_BYTES = 16 * 1024 * 1024

/** Node.js refuses new streams of a session above this many megabytes of buffered data (default 10). */
export const MAX_SESSION_MEMORY_MB = 1024
