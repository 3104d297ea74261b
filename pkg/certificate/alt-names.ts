import { isIPv4, isIPv6 } from 'node:net'
import { type Asn1, children, content, sequence, taggedBytes } from '#pkg/certificate/asn1.ts'
import { CertificateError } from '#pkg/certificate/errors.ts'

/** Subject alternative names by kind. */
export interface AltNames {
  readonly dnsNames: readonly string[]
  /** Textual addresses; IPv6 in the compressed form of RFC 5952. */
  readonly ips: readonly string[]
  readonly uris: readonly string[]
  readonly emails: readonly string[]
}

/** No names at all. */
export const noAltNames: AltNames = { dnsNames: [], ips: [], uris: [], emails: [] }

// Context tags of GeneralName, RFC 5280 section 4.2.1.6.
const kind = { email: 1, dns: 2, uri: 6, ip: 7 } as const

/** GeneralNames. @throws CertificateError for something that is no IP address. */
export function encodeAltNames(names: AltNames): Asn1 {
  const ascii = (n: number) => (value: string) => taggedBytes(n, Buffer.from(value, 'latin1'))
  return sequence(
    ...names.dnsNames.map(ascii(kind.dns)),
    ...names.emails.map(ascii(kind.email)),
    ...names.uris.map(ascii(kind.uri)),
    ...names.ips.map((ip) => taggedBytes(kind.ip, ipBytes(ip))),
  )
}

/** Reads GeneralNames; kinds that Kubernetes does not use are left out. */
export function decodeAltNames(node: Asn1): AltNames {
  const of = (n: number): readonly Buffer[] =>
    children(node)
      .filter((name) => name.type === n)
      .map(content)
  const strings = (n: number): readonly string[] => of(n).map((bytes) => bytes.toString('latin1'))
  return {
    dnsNames: strings(kind.dns),
    emails: strings(kind.email),
    uris: strings(kind.uri),
    ips: of(kind.ip).map(ipText),
  }
}

/** One spelling for each address, so that two lists can be compared; ::ffff:10.0.0.1 is 10.0.0.1, as it is for TLS. */
export function canonicalIp(ip: string): string {
  const bytes = ipBytes(ip)
  const isMapped = bytes.length === 16 && bytes.subarray(0, 12).equals(MAPPED_PREFIX)
  return ipText(isMapped ? bytes.subarray(12) : bytes)
}

/** ::ffff:0:0/96, RFC 4291 section 2.5.5.2. */
const MAPPED_PREFIX = Buffer.from([...Array<number>(10).fill(0), 0xff, 0xff])

function ipBytes(ip: string): Buffer {
  if (isIPv4(ip)) return Buffer.from(ip.split('.').map(Number))
  if (!isIPv6(ip) || ip.includes('%')) throw new CertificateError(`"${ip}" is not an IP address`)
  // An IPv4 tail counts as two groups.
  const groups = ip.replace(/\d+\.\d+\.\d+\.\d+$/, (v4) => {
    const [a = 0, b = 0, c = 0, d = 0] = v4.split('.').map(Number)
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })
  const [head = '', tail] = groups.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  const bytes = Buffer.alloc(16)
  ;[...left, ...zeros, ...right].forEach((group, i) => bytes.writeUInt16BE(Number.parseInt(group, 16), i * 2))
  return bytes
}

function ipText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join('.')
  if (bytes.length !== 16) throw new CertificateError('an IP address among the alternative names has a wrong length')
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(i * 2).toString(16))
  // The URL parser compresses as RFC 5952 does.
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
}
