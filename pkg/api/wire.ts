/** Paths of the join API; they and the messages are k0s's. */
export const joinPaths = { ca: '/v1beta1/ca', etcdMembers: '/v1beta1/etcd/members' } as const

/** Longest request body, bytes: a name and an address. */
export const MAX_BODY_BYTES = 4_096

/** An authority and, with the cluster's own, the keys of service accounts. PEM. */
export interface SharedAuthority {
  readonly keyPem: string
  readonly certPem: string
  readonly saKeyPem?: string | undefined
  readonly saPublicPem?: string | undefined
}

/** The answer to GET ca, and `ca` in that to POST etcd/members; base64 of the files. */
export interface CaResponse {
  readonly key: string
  readonly cert: string
  readonly saKey: string
  readonly saPub: string
}

/** The body of POST etcd/members. */
export interface EtcdRequest {
  /** Name of the host. */
  readonly node: string
  /** Address at which the other members will reach its etcd; the port is 2380. */
  readonly peerAddress: string
}

/** The answer to POST etcd/members. */
export interface EtcdResponse {
  readonly ca: CaResponse
  /** `name=https://…:2380` of every member, the new one included. */
  readonly initialCluster: readonly string[]
}

/** As it goes over the wire. */
export function caResponse({ keyPem, certPem, saKeyPem = '', saPublicPem = '' }: SharedAuthority): CaResponse {
  const base64 = (pem: string): string => Buffer.from(pem).toString('base64')
  return { key: base64(keyPem), cert: base64(certPem), saKey: base64(saKeyPem), saPub: base64(saPublicPem) }
}

/** From the wire. */
export function sharedAuthority({ key, cert, saKey, saPub }: CaResponse): SharedAuthority {
  const text = (base64: string): string => Buffer.from(base64, 'base64').toString()
  return { keyPem: text(key), certPem: text(cert), saKeyPem: text(saKey), saPublicPem: text(saPub) }
}

/** Reads a request; undefined when it is none. A name is what Kubernetes takes for a node's. */
export function parseEtcdRequest(text: string): EtcdRequest | undefined {
  try {
    const { node, peerAddress } = JSON.parse(text) as Partial<Record<keyof EtcdRequest, unknown>>
    if (typeof node !== 'string' || typeof peerAddress !== 'string') return undefined
    if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(node) || !/^[a-zA-Z0-9.:-]{1,253}$/.test(peerAddress))
      return undefined
    return { node, peerAddress }
  } catch {
    return undefined
  }
}
