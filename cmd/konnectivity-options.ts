import { isIP, isIPv4, isIPv6 } from 'node:net'
import { UsageError } from '#pkg/errors/usage.ts'

/** Cipher suites of TLS 1.2 with forward secrecy and authenticated encryption, by IANA name: OpenSSL's. */
const cipherSuites: Readonly<Record<string, string>> = {
  TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: 'ECDHE-ECDSA-AES128-GCM-SHA256',
  TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: 'ECDHE-ECDSA-AES256-GCM-SHA384',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-ECDSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: 'ECDHE-RSA-AES128-GCM-SHA256',
  TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: 'ECDHE-RSA-AES256-GCM-SHA384',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305: 'ECDHE-RSA-CHACHA20-POLY1305',
  TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: 'ECDHE-RSA-CHACHA20-POLY1305',
}
/** Of TLS 1.3: always on, which Go says too; naming them has no effect. */
const always = ['TLS_AES_128_GCM_SHA256', 'TLS_AES_256_GCM_SHA384', 'TLS_CHACHA20_POLY1305_SHA256']

/** OpenSSL's cipher list for `--cipher-suites`; undefined: the default. @throws UsageError */
export function ciphersOf(names: readonly string[]): string | undefined {
  const chosen = names
    .filter((name) => !always.includes(name))
    .map((name) => {
      const cipher = cipherSuites[name]
      if (cipher !== undefined) return cipher
      throw new UsageError(
        `--cipher-suites: ${name} is not known or not secure; it takes ${Object.keys(cipherSuites).join(', ')}`,
      )
    })
  // Without those of TLS 1.3 in the list OpenSSL would leave them out.
  return chosen.length === 0 ? undefined : [...always, ...chosen].join(':')
}

/** `--tls-min-version`. @throws UsageError for one that is not secure any more */
export function tlsMinVersionOf(name: string): 'TLSv1.2' | 'TLSv1.3' {
  switch (name) {
    case '':
    case 'VersionTLS12':
      return 'TLSv1.2'
    case 'VersionTLS13':
      return 'TLSv1.3'
    default:
      throw new UsageError(`--tls-min-version: ${name} is refused; it takes VersionTLS12 or VersionTLS13 (RFC 8996)`)
  }
}

/** `a=b,c=d`. @throws UsageError */
export function labelsOf(flag: string, text: string): Readonly<Record<string, string>> {
  const entries = text.split(',').map((pair) => /^([\w./-]+)=([\w.-]*)$/.exec(pair.trim()))
  if (entries.some((entry) => entry === null)) {
    throw new UsageError(`invalid value "${text}" for --${flag}: it takes labels such as k8s-app=konnectivity-server`)
  }
  return Object.fromEntries(entries.map((entry) => [entry?.[1] ?? '', entry?.[2] ?? '']))
}

const identifierKinds: Readonly<Record<string, (value: string) => boolean>> = {
  ipv4: isIPv4,
  ipv6: isIPv6,
  host: (value) => value !== '',
  cidr: (value) => isIP(value.split('/')[0] ?? '') !== 0 && /\/\d{1,3}$/.test(value),
  'default-route': (value) => ['true', 'false'].includes(value),
}

/** Checks `--agent-identifiers`; as upstream, one that is unknown is an error. @throws UsageError */
export function checkedIdentifiers(query: string): string {
  for (const [kind, value] of new URLSearchParams(query)) {
    const isValid = identifierKinds[kind]
    if (isValid === undefined) {
      throw new UsageError(`--agent-identifiers: unknown ${kind}; there are ${Object.keys(identifierKinds).join(', ')}`)
    }
    if (!isValid(value)) throw new UsageError(`--agent-identifiers: "${value}" is no ${kind}`)
  }
  return query
}

/** A flag that has no default but must be there. @throws UsageError */
export function required(name: string, value: string | undefined, takes = 'a path'): string {
  if (value === undefined) throw new UsageError(`--${name} is required: it takes ${takes}`)
  return value
}

/** Without the keys whose value is undefined: options have them or have not. */
export function defined<T extends object>(options: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as never
}
