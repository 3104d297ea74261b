import { createSocket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { errorMessage } from '#pkg/errors/error.ts'
import { IpError } from '#pkg/net/ip.ts'

/** Interfaces whose addresses are the cluster's own and mean nothing to other hosts. */
const clusterInterfaces = /^(cni|cali|flannel|kube-|docker|veth|dummyvip|virbr)/

/**
 * The first global address of a real interface, IPv4 before IPv6: the default of spec.api.address. Undefined on a host
 * that has only loopback.
 */
export function firstAddress(interfaces = networkInterfaces()): string | undefined {
  const candidates = Object.entries(interfaces)
    .filter(([name]) => !clusterInterfaces.test(name))
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ internal, address }) => !internal && !isLinkLocal(address))
  return (candidates.find(({ family }) => family === 'IPv4') ?? candidates[0])?.address
}

/**
 * The local address that packets towards `host` would carry: the route decides, nothing is sent.
 *
 * @throws IpError when the name does not resolve or there is no route.
 */
export async function localAddressTowards(host: string, port = 6443): Promise<string> {
  try {
    const { address, family } = await lookup(host)
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
    try {
      // connect() of UDP only asks the routing table.
      const connected = once(socket, 'connect')
      socket.connect(port, address)
      await connected
      return socket.address().address
    } finally {
      socket.close()
    }
  } catch (err) {
    throw new IpError(`no route to ${host}: ${errorMessage(err)}; check the address and this host's network`, {
      cause: err,
    })
  }
}

function isLinkLocal(address: string): boolean {
  return address.startsWith('169.254.') || /^fe[89ab]/i.test(address)
}
