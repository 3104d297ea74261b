/** Flags for TLS to the database: --ca-file, --cert-file, --key-file, --skip-verify. */
export interface DatabaseTlsFiles {
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
  readonly skipVerify?: boolean | undefined
}
