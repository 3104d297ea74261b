import { Counter, Gauge, Histogram } from '#konnectivity/tunnel/metrics.ts'

/** Live values that the gauges read. */
export interface AgentGauges {
  readonly openServers: () => number
  readonly knownServers: () => number
  readonly openEndpoints: () => number
  readonly bufferBytes: () => number
}

const PREFIX = 'konnectivity_network_proxy_agent'
const DIAL_BUCKETS = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 30]

/** Metrics of an agent. */
export type AgentMetrics = ReturnType<typeof createAgentMetrics>

/** Creates the metrics under upstream's names. */
export function createAgentMetrics(gauges: AgentGauges) {
  const named = (name: string, help: string): { name: string; help: string } => ({ name: `${PREFIX}_${name}`, help })
  return {
    dialDuration: new Histogram(named('dial_duration_seconds', 'Latency of dials to endpoints.'), DIAL_BUCKETS),
    dialFailures: new Counter(named('endpoint_dial_failure_total', 'Failed dials to endpoints by reason.')),
    openServers: new Gauge(named('open_server_connections', 'Servers this agent is connected to.'), () => [
      [{}, gauges.openServers()],
    ]),
    knownServers: new Gauge(named('known_server_count', 'Servers this agent wants a connection to.'), () => [
      [{}, gauges.knownServers()],
    ]),
    openEndpoints: new Gauge(named('open_endpoint_connections', 'Open connections to endpoints.'), () => [
      [{}, gauges.openEndpoints()],
    ]),
    bufferBytes: new Gauge(
      named(
        'buffer_granted_bytes',
        'Bytes that readers may have in flight beyond their first windows, or have left unread.',
      ),
      () => [[{}, gauges.bufferBytes()]],
    ),
    leaseLists: new Counter(named('lease_lists_total', 'Lists of server leases by HTTP response code and reason.')),
    leaseWatches: new Counter(
      named('lease_watches_total', 'Watches of server leases by HTTP response code and reason.'),
    ),
    leaseListLatency: new Histogram(
      { ...named('lease_list_latency_seconds', 'Latency of listing server leases.'), labelled: true },
      DIAL_BUCKETS,
    ),
    streamPackets: new Counter(named('stream_packets_total', 'Packets by segment and type.')),
    streamErrors: new Counter(named('stream_errors_total', 'Streams that ended with an error by segment and code.')),
    serverFailures: new Counter(
      named('server_connection_failure_count', 'Failed or lost connections to a server by direction.'),
    ),
  }
}
