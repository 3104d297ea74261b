/** What the configuration of containerd varies with. */
export interface ContainerdConfigOptions {
  /** Image store, snapshots: persistent. */
  readonly rootDir: string
  /** Sockets and mounts of what runs: gone with a reboot. */
  readonly stateDir: string
  readonly socket: string
  /** Reference of the sandbox image; it is imported, never pulled. */
  readonly pauseImage: string
  readonly snapshotter: 'overlayfs' | 'native'
  /** Has to be what the kubelet uses. */
  readonly cgroupDriver: 'cgroupfs' | 'systemd'
  /** Without CAP_SYS_RESOURCE runc may not lower oom_score_adj, and every container fails. */
  readonly restrictOomScoreAdj: boolean
  /** Absolute path of runc. */
  readonly runc: string
  readonly cniBinDir: string
  readonly cniConfDir: string
  /** Drop-ins, absolute paths, already validated; later ones win. */
  readonly imports: readonly string[]
}

/** First line of a configuration that k0s may overwrite; a file without it belongs to the user (k0s pkg/component/worker/containerd). */
export const managedMagic = '# k0s_managed=true'

/**
 * The configuration file of containerd (version 3 format, TOML). Plugins without use here are off: each of them costs
 * start-up time and memory.
 */
export function renderContainerdConfig(options: ContainerdConfigOptions): string {
  const runtime = `plugins."io.containerd.cri.v1.runtime"`
  const images = `plugins."io.containerd.cri.v1.images"`
  return `${managedMagic}
# Written by k0s at every start. To change it put a file into the drop-in directory, or remove the first line.
version = 3
root = ${quote(options.rootDir)}
state = ${quote(options.stateDir)}
imports = [${options.imports.map(quote).join(', ')}]
disabled_plugins = [${disabledPlugins.map(quote).join(', ')}]

[grpc]
  address = ${quote(options.socket)}

[${images}]
  snapshotter = ${quote(options.snapshotter)}

[${images}.pinned_images]
  sandbox = ${quote(options.pauseImage)}

[${runtime}]
  restrict_oom_score_adj = ${String(options.restrictOomScoreAdj)}
  # Under the state directory, so that several nodes on one machine, and reset, see their own only.
  netns_mounts_under_state_dir = true

[${runtime}.cni]
  bin_dirs = [${quote(options.cniBinDir)}]
  conf_dir = ${quote(options.cniConfDir)}
  use_internal_loopback = true

[${runtime}.containerd]
  default_runtime_name = "runc"

[${runtime}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${runtime}.containerd.runtimes.runc.options]
  BinaryName = ${quote(options.runc)}
  # runc's own state; its default directory is shared by every containerd of a machine.
  Root = ${quote(`${options.stateDir}/runc`)}
  SystemdCgroup = ${String(options.cgroupDriver === 'systemd')}
`
}

/** Snapshotters and services that nothing here uses. */
const disabledPlugins = [
  'io.containerd.snapshotter.v1.blockfile',
  'io.containerd.snapshotter.v1.btrfs',
  'io.containerd.snapshotter.v1.devmapper',
  'io.containerd.snapshotter.v1.erofs',
  'io.containerd.snapshotter.v1.zfs',
  'io.containerd.internal.v1.tracing',
  'io.containerd.tracing.processor.v1.otlp',
  'io.containerd.nri.v1.nri',
]

/** A TOML basic string; JSON escapes are a subset of TOML's. */
function quote(text: string): string {
  return JSON.stringify(text)
}
