import { ports } from '#pkg/constant/ports.ts'
import { joinHostPort } from '#pkg/net/ip.ts'

/** Where a controller's own etcd serves clients: loopback only. */
export const etcdClientUrl = `https://127.0.0.1:${ports.etcdClient}`

/** Where the other members reach the one on a host, `https://host:2380`. */
export function peerUrlAt(peerAddress: string): string {
  return `https://${joinHostPort(peerAddress, ports.etcdPeer)}`
}

/** The host of a member's peer URL, or the URL itself where it is none. */
export function peerAddressOf(peerUrl: string): string {
  return URL.canParse(peerUrl) ? new URL(peerUrl).hostname : peerUrl
}
