import type { WorkerIdentityName } from '#pkg/constant/identity.ts'

/** Whose certificate: the kubelet's (`system:node:<name>`), or one of the worker's other parts. */
export type NodeIdentity = 'node' | WorkerIdentityName

/** What a client certificate of this node is made from. */
export interface CertificateRequest {
  readonly identity: NodeIdentity
  readonly commonName: string
  readonly organizations: readonly string[]
  /** Private key (PKCS#8 PEM) whose public half is certified; it never leaves the node. */
  readonly keyPem: string
}

/**
 * How this node gets its client certificates. A joining worker asks the API server (join token first, the node's own
 * identity afterwards); a controller with --enable-worker or --single signs with the CA that it has on disk.
 */
export interface NodeCredentials {
  /** CA bundle (PEM) that signs the API server's serving certificate. */
  readonly caPem: string
  /**
   * Resolves with the certificate (PEM, leaf first). Safe to repeat: the same key gives the same request.
   *
   * @throws a K0sError that says why the certificate is refused.
   */
  certify(request: CertificateRequest, options: { readonly signal: AbortSignal }): Promise<string>
}
