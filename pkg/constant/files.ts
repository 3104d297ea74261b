/** File and directory modes; the table is k0s's (its pkg/constant), the reasons are the comments. */
export const modes = {
  /** Data directory: its parts protect themselves. */
  dataDir: 0o755,
  binDir: 0o755,
  /** Users of single components pass through to the files that are theirs, without listing the rest. */
  pkiDir: 0o751,
  etcdPkiDir: 0o711,
  etcdDataDir: 0o700,
  kineDbDir: 0o750,
  runDir: 0o755,
  /** /etc/k0s. */
  configDir: 0o755,
  certificate: 0o644,
  privateKey: 0o600,
  kubeconfig: 0o600,
  secretFile: 0o600,
  pidFile: 0o644,
} as const
