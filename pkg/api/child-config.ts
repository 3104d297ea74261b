import type { SharedAuthority } from '#pkg/api/wire.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'

/**
 * What `k0s api` reads from its standard input, JSON: all that it needs and nothing that it could read elsewhere. It holds the
 * key of the cluster's authority.
 */
export interface ApiChildConfig {
  readonly listen: { readonly host?: string | undefined; readonly port: number }
  /** Its serving certificate. */
  readonly serving: { readonly certPem: string; readonly keyPem: string }
  /** How it reads the Secrets of tokens. */
  readonly kube: { readonly server: string; readonly caPem: string; readonly certPem: string; readonly keyPem: string }
  /** What joining controllers are given. */
  readonly authority: SharedAuthority
  /** Absent when the controllers run no etcd. */
  readonly etcd?: {
    readonly authority: SharedAuthority
    readonly endpoint: string
    readonly tls: EtcdTls
  }
}
