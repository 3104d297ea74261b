import { Counter, Gauge, Histogram } from '#konnectivity/tunnel/metrics.ts'
import type { ProxyStrategy } from '#konnectivity/server/backend-manager.ts'

/** Live values that the gauges read. */
export interface ServerGauges {
  readonly grpcFrontends: () => number
  readonly agentStreams: () => number
  readonly httpFrontends: () => number
  readonly backends: () => readonly (readonly [ProxyStrategy, number])[]
  readonly pendingDials: () => number
  readonly established: () => number
  readonly blocked: () => { readonly frontends: number; readonly agents: number }
  readonly unproven: () => number
  readonly bufferBytes: () => number
}

const PREFIX = 'konnectivity_network_proxy_server'
const DIAL_BUCKETS = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 30]
const CONNECTION_BUCKETS = [0.1, 1, 10, 60, 600, 3_600, 86_400]

/** Metrics of the tunnel server. */
export type ServerMetrics = ReturnType<typeof createServerMetrics>

/** Creates the metrics under the names that upstream's dashboards and alerts use. */
export function createServerMetrics(gauges: ServerGauges) {
  const named = (name: string, help: string): { name: string; help: string } => ({ name: `${PREFIX}_${name}`, help })
  return {
    dialDuration: new Histogram(named('dial_duration_seconds', 'Latency of dials to the endpoint.'), DIAL_BUCKETS),
    frontendWrites: new Histogram(
      named('frontend_write_duration_seconds', 'How long writes to gRPC frontends waited to be taken.'),
      [0.000001, 0.00001, 0.0001, 0.005, 0.025, 0.1, 0.5, 2.5, 12.5],
    ),
    connectionDuration: new Histogram(
      named('connection_duration_seconds', 'How long connections were open after their dial.'),
      CONNECTION_BUCKETS,
    ),
    grpcConnections: new Gauge(named('grpc_connections', 'Current gRPC streams by method.'), () => [
      [{ service_method: 'Proxy' }, gauges.grpcFrontends()],
      [{ service_method: 'Connect' }, gauges.agentStreams()],
    ]),
    httpConnections: new Gauge(named('http_connections', 'Current HTTP CONNECT connections.'), () => [
      [{}, gauges.httpFrontends()],
    ]),
    readyBackendConnections: new Gauge(named('ready_backend_connections', 'Connected agents.'), () => [
      [{}, gauges.agentStreams()],
    ]),
    readyBackends: new Gauge(named('ready_backends', 'Agents that each strategy could use.'), () =>
      gauges.backends().map(([proxy_strategy, count]) => [{ proxy_strategy }, count]),
    ),
    pendingDials: new Gauge(named('pending_backend_dials', 'Dials that wait for an agent.'), () => [
      [{}, gauges.pendingDials()],
    ]),
    established: new Gauge(named('established_connections', 'Connections open end to end.'), () => [
      [{}, gauges.established()],
    ]),
    unproven: new Gauge(named('unproven_connections', 'Connections on which no agent was accepted yet.'), () => [
      [{}, gauges.unproven()],
    ]),
    bufferBytes: new Gauge(
      named(
        'buffer_granted_bytes',
        'Bytes that readers may have in flight beyond their first windows, or have left unread.',
      ),
      () => [[{}, gauges.bufferBytes()]],
    ),
    fullReceiveChannels: new Gauge(
      named(
        'full_receive_channels',
        'Connections on which a side waits because the other does not read: no other does.',
      ),
      () => {
        const { frontends, agents } = gauges.blocked()
        return [
          [{ service_method: 'Proxy' }, frontends],
          [{ service_method: 'Connect' }, agents],
        ]
      },
    ),
    dialFailures: new Counter(named('dial_failure_count', 'Failed dials by reason; one dial can fail several times.')),
    receiveQueueFull: new Counter(
      named('receive_queue_full_total', 'Connections reset because a slow frontend shared its agent stream.'),
    ),
    streamPackets: new Counter(named('stream_packets_total', 'Packets by segment and type.')),
    streamErrors: new Counter(named('stream_errors_total', 'Streams that ended with an error, by segment.')),
    lostAgents: new Counter(named('lost_agents_total', 'Agents that went without saying so before, by node.')),
    agentRefusals: new Counter(named('agent_refusals_total', 'Agents that failed authentication.')),
    culledLeases: new Counter(named('culled_leases_count', 'Leases of servers that were gone.')),
    leaseDeleteLatency: new Histogram(
      { ...named('lease_delete_latency_seconds', 'Latency of deleting leases.'), labelled: true },
      DIAL_BUCKETS,
    ),
    leaseDeletes: new Counter(named('lease_delete_total', 'Deletions of leases by HTTP status and reason.')),
    leaseListLatency: new Histogram(
      { ...named('lease_list_latency_seconds', 'Latency of listing leases.'), labelled: true },
      DIAL_BUCKETS,
    ),
    leaseLists: new Counter(named('lease_list_total', 'Lists of leases by HTTP status and reason.')),
    drainedConnections: new Counter(
      named('drained_connections_total', 'Connections that a stop closed because they were idle, or cut in use.'),
    ),
    forwardedBytes: new Counter(named('forwarded_bytes_total', 'Payload bytes of finished connections by direction.')),
  }
}
