import { isIPv4, isIPv6 } from 'node:net'
import { K0sError } from '#pkg/errors/error.ts'

/** An IP address or CIDR is not valid, or has no room for what was asked. */
export class IpError extends K0sError {
  override readonly code = 'ERR_IP'
}

/** An IP address as a number, so that v4 and v6 share their arithmetic. */
export interface IpAddress {
  readonly family: 4 | 6
  readonly value: bigint
}

/** A network: its first address and the length of its prefix. */
export interface Cidr {
  readonly family: 4 | 6
  /** First address of the network: host bits are zero. */
  readonly base: bigint
  readonly prefixLength: number
}

const bitsOf = { 4: 32, 6: 128 } as const

/** Parses `10.0.0.1` or `fd00::1` (no zone). @throws IpError */
export function parseIp(text: string): IpAddress {
  if (isIPv4(text)) return { family: 4, value: joinGroups(text.split('.').map(Number), 8n) }
  if (isIPv6(text) && !text.includes('%')) return { family: 6, value: parseIpv6(text) }
  throw new IpError(`"${text}" is not an IP address; write it as 10.0.0.1 or fd00::1`)
}

/** Whether `text` is an IP address (v4, or v6 without a zone). */
export function isIp(text: string): boolean {
  return isIPv4(text) || (isIPv6(text) && !text.includes('%'))
}

/** Writes an address; v6 in the form of RFC 5952. */
export function formatIp({ family, value }: IpAddress): string {
  if (family === 4) return splitGroups(value, 4, 8n).join('.')
  return compressIpv6(splitGroups(value, 8, 16n))
}

/** Parses `10.0.0.0/16` or `fd00::/64`; host bits are cleared. @throws IpError */
export function parseCidr(text: string): Cidr {
  const [address, prefix, ...rest] = text.split('/')
  if (address === undefined || prefix === undefined || rest.length > 0 || !/^\d{1,3}$/.test(prefix) || !isIp(address)) {
    throw new IpError(`"${text}" is not a CIDR; write it as 10.244.0.0/16 or fd00::/64`)
  }
  const { family, value } = parseIp(address)
  const prefixLength = Number(prefix)
  if (prefixLength > bitsOf[family]) {
    throw new IpError(`"${text}" is not a CIDR: an IPv${family} prefix has at most ${bitsOf[family]} bits`)
  }
  const hostBits = BigInt(bitsOf[family] - prefixLength)
  return { family, base: (value >> hostBits) << hostBits, prefixLength }
}

/** Writes a network as `address/prefix`. */
export function formatCidr({ family, base, prefixLength }: Cidr): string {
  return `${formatIp({ family, value: base })}/${prefixLength}`
}

/** Number of addresses of a network. */
export function cidrSize({ family, prefixLength }: Cidr): bigint {
  return 1n << BigInt(bitsOf[family] - prefixLength)
}

/** Whether the address, or every address of the other network, is in the network. */
export function cidrContains(cidr: Cidr, other: IpAddress | Cidr): boolean {
  const [first, size] = 'value' in other ? [other.value, 1n] : [other.base, cidrSize(other)]
  return cidr.family === other.family && first >= cidr.base && first + size <= cidr.base + cidrSize(cidr)
}

/** Whether two networks share an address; networks of different families never do. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return cidrContains(a, b) || cidrContains(b, a)
}

/**
 * The address `n` steps after the first of the network: 1 is the API server's in the service network, 10 the cluster
 * DNS's.
 *
 * @throws IpError when the network has no such address.
 */
export function nthAddress(cidr: Cidr, n: number): string {
  if (BigInt(n) >= cidrSize(cidr)) throw new IpError(`${formatCidr(cidr)} is too small: it has no address number ${n}`)
  return formatIp({ family: cidr.family, value: cidr.base + BigInt(n) })
}

/** `host:port` with brackets around v6 addresses. */
export function joinHostPort(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function parseIpv6(text: string): bigint {
  // A dotted tail (::ffff:10.0.0.1) is two groups.
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  const hex = (high: string | undefined, low: string | undefined): string =>
    ((Number(high) << 8) | Number(low)).toString(16)
  const plain = dotted ? `${dotted[1]}${hex(dotted[2], dotted[3])}:${hex(dotted[4], dotted[5])}` : text
  const [head = '', tail] = plain.split('::')
  const groups = (part: string): number[] => (part === '' ? [] : part.split(':').map((group) => parseInt(group, 16)))
  const left = groups(head)
  const right = tail === undefined ? [] : groups(tail)
  const zeros = Array<number>(8 - left.length - right.length).fill(0)
  return joinGroups([...left, ...zeros, ...right], 16n)
}

/** RFC 5952: lower case, no leading zeros, `::` for the longest run of two or more zero groups, the first of equals. */
function compressIpv6(groups: readonly number[]): string {
  let best = { start: 0, length: 1 }
  let start = 0
  groups.forEach((group, index) => {
    if (group !== 0) start = index + 1
    else if (index - start + 1 > best.length) best = { start, length: index - start + 1 }
  })
  const text = (part: readonly number[]): string => part.map((group) => group.toString(16)).join(':')
  if (best.length < 2) return text(groups)
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`
}

function joinGroups(groups: readonly number[], bits: bigint): bigint {
  return groups.reduce((value, group) => (value << bits) | BigInt(group), 0n)
}

function splitGroups(value: bigint, count: number, bits: bigint): number[] {
  return Array.from({ length: count }, (_, i) =>
    Number((value >> (BigInt(count - 1 - i) * bits)) & ((1n << bits) - 1n)),
  )
}
