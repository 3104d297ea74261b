import { isIPv6 } from 'node:net'

/** Name of the table that leads connections to virtual addresses to the balancer. */
export const cplbTable = 'inet k0s-cplb'

/** Which connections are led where. */
export interface CplbRedirect {
  /** Without prefix length. */
  readonly virtualAddresses: readonly string[]
  /** Port of the API servers, and of the virtual address. */
  readonly apiPort: number
  /** userSpaceProxyBindPort. */
  readonly proxyPort: number
}

/**
 * A script for nft(8) that replaces the table in one transaction: connections to a virtual address, from outside and from this
 * host, go to the balancer, before any other rule for destinations (-100) sees them. Pure; a golden file pins it.
 */
export function renderCplbRedirect({ virtualAddresses, apiPort, proxyPort }: CplbRedirect): string {
  const rules = virtualAddresses.map(
    (address) =>
      `    ${isIPv6(address) ? 'ip6' : 'ip'} daddr ${address} tcp dport ${apiPort} redirect to :${proxyPort}`,
  )
  return [
    `table ${cplbTable}`,
    `delete table ${cplbTable}`,
    `table ${cplbTable} {`,
    '  chain prerouting {',
    '    type nat hook prerouting priority -110; policy accept;',
    ...rules,
    '  }',
    '  chain output {',
    '    type nat hook output priority -110; policy accept;',
    ...rules,
    '  }',
    '}',
    '',
  ].join('\n')
}
