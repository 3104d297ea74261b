import { table } from '#pkg/status/table.ts'
import type { TunnelInfo, TunnelPeer } from '#pkg/status/types.ts'

/** The lines of `k0s status` about the tunnel: how many peers are connected, and each of them. Pure. */
export function tunnelText({ Workers, Controllers, Error: error }: TunnelInfo): readonly string[] {
  return [
    ...(error === undefined ? [] : [`Tunnel: the tunnel server does not answer: ${error}`]),
    ...(Workers === undefined ? [] : section('workers', 'WORKER', Workers)),
    ...(Controllers === undefined ? [] : section('controllers', 'CONTROLLER', Controllers)),
  ]
}

function section(plural: string, title: string, peers: readonly TunnelPeer[]): readonly string[] {
  const connected = new Set(peers.filter(({ state }) => state === 'connected').map(({ name }) => name)).size
  const all = new Set(peers.map(({ name }) => name)).size
  const summary = `Tunnel: ${connected} of ${all} ${plural} connected`
  if (peers.length === 0) return [summary]
  const header = [
    title,
    'ADDRESS',
    'STATE',
    'SINCE',
    'ROUND TRIP',
    'OPEN',
    'TO NODE',
    'FROM NODE',
    'LOST',
    'LAST ERROR',
  ]
  const rows = peers.map((peer) => [
    peer.name,
    peer.address,
    peer.state,
    peer.since ?? '-',
    peer.roundTripMs === undefined ? '-' : `${peer.roundTripMs.toFixed(1)} ms`,
    String(peer.openConnections),
    bytesText(peer.bytesToEndpoints),
    bytesText(peer.bytesFromEndpoints),
    String(peer.losses),
    peer.lastError ?? '',
  ])
  const lines = table([header, ...rows])
    .trimEnd()
    .split('\n')
  return [summary, ...lines.map((line) => `  ${line}`)]
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const

/** `17 B`, `1.2 GiB`. Pure. */
export function bytesText(bytes: number): string {
  const exponent = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(Math.max(bytes, 1)) / 10)))
  const value = bytes / 1024 ** exponent
  return `${exponent === 0 ? String(value) : value.toFixed(1)} ${units[exponent] ?? ''}`
}
