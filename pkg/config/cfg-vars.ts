import { join } from 'node:path'

/** What the paths derive from. */
export interface CfgVarsOptions {
  /** `--data-dir`, absolute. Default /var/lib/k0s. */
  readonly dataDir?: string | undefined
  /** Sockets and PID files. Default /run/k0s; `<data-dir>/run` for users other than root. */
  readonly runDir?: string | undefined
  /** `--kubelet-root-dir`. Default /var/lib/kubelet, so that CSI drivers run unmodified (k0s#1842). */
  readonly kubeletRootDir?: string | undefined
  /** `--status-socket`. Default `<run-dir>/status.sock`. */
  readonly statusSocket?: string | undefined
}

/** Every path of a node, derived from the data and run directories; the names are k0s's. */
export interface CfgVars {
  readonly dataDir: string
  readonly runDir: string
  /** Staged executables. */
  readonly binDir: string
  readonly pkiDir: string
  readonly etcdPkiDir: string
  readonly adminKubeconfig: string
  readonly etcdDataDir: string
  readonly kineDbFile: string
  readonly kineSocket: string
  readonly manifestsDir: string
  /** OCI archives of the user, imported at worker start. */
  readonly imagesDir: string
  /** EgressSelectorConfiguration of kube-apiserver. */
  readonly egressSelectorConfig: string
  readonly konnectivitySocket: string
  readonly statusSocket: string
  /** The configuration that the running controller was started with (0600). */
  readonly runtimeConfig: string
  /** Held with flock while a supervisor runs: "is running" survives kill -9. */
  readonly lockFile: string
  readonly kubeletRootDir: string
  readonly kubeletKubeconfig: string
  readonly containerdRootDir: string
  readonly containerdStateDir: string
  readonly containerdSocket: string
  readonly containerdConfig: string
  /** User's drop-ins: /etc/k0s/containerd.d/*.toml. */
  readonly containerdDropInDir: string
  /** Client certificates and kubeconfigs of the worker's parts, one folder. */
  readonly workerPkiDir: string
  readonly cniConfDir: string
  readonly cniBinDir: string
}

/** k0s's; so are the ones below unless they say otherwise. */
export const defaultDataDir = '/var/lib/k0s'
/** Of root. */
export const defaultRunDir = '/run/k0s'
/** Need not exist. */
export const defaultConfigFile = '/etc/k0s/k0s.yaml'
/** The kubelet's own default, not k0s's: CSI drivers expect it (k0s#1842). */
export const defaultKubeletRootDir = '/var/lib/kubelet'

/** Derives every path; pure, touches no file. */
export function cfgVars(options: CfgVarsOptions = {}): CfgVars {
  const dataDir = options.dataDir ?? defaultDataDir
  const runDir = options.runDir ?? (process.getuid?.() === 0 ? defaultRunDir : join(dataDir, 'run'))
  const pkiDir = join(dataDir, 'pki')
  return {
    dataDir,
    runDir,
    binDir: join(dataDir, 'bin'),
    pkiDir,
    etcdPkiDir: join(pkiDir, 'etcd'),
    adminKubeconfig: join(pkiDir, 'admin.conf'),
    etcdDataDir: join(dataDir, 'etcd'),
    kineDbFile: join(dataDir, 'db', 'state.db'),
    kineSocket: join(runDir, 'kine', 'kine.sock'),
    manifestsDir: join(dataDir, 'manifests'),
    imagesDir: join(dataDir, 'images'),
    egressSelectorConfig: join(dataDir, 'konnectivity.conf'),
    konnectivitySocket: join(runDir, 'konnectivity-server', 'konnectivity-server.sock'),
    statusSocket: options.statusSocket ?? join(runDir, 'status.sock'),
    runtimeConfig: join(runDir, 'k0s.yaml'),
    lockFile: join(runDir, 'k0s.lock'),
    kubeletRootDir: options.kubeletRootDir ?? defaultKubeletRootDir,
    kubeletKubeconfig: join(dataDir, 'kubelet.conf'),
    containerdRootDir: join(dataDir, 'containerd'),
    containerdStateDir: join(runDir, 'containerd'),
    containerdSocket: join(runDir, 'containerd.sock'),
    containerdConfig: join(dataDir, 'containerd.toml'),
    containerdDropInDir: '/etc/k0s/containerd.d',
    workerPkiDir: join(dataDir, 'worker-pki'),
    cniConfDir: '/etc/cni/net.d',
    cniBinDir: '/opt/cni/bin',
  }
}
