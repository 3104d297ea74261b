import { join } from 'node:path'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import type { WorkerIdentityName } from '#pkg/constant/identity.ts'

/** Paths of a worker that CfgVars does not name, all derived from it. */
export interface WorkerLayout {
  /** CA bundle of the cluster, for the kubelet's clients and for this node's own. */
  readonly caFile: string
  /** What the controllers said last: lets the worker start while they are down. */
  readonly rememberedConfigFile: string
  /** Key of the kubelet's first client certificate, there only while the node joins. */
  readonly bootstrapKeyFile: string
  /** Folder of the kubelet's own certificates. */
  readonly kubeletPkiDir: string
  /** Name fixed by the kubelet: a symbolic link to its newest client certificate. */
  readonly kubeletClientPem: string
  readonly kubeletConfigFile: string
  readonly kubeProxyConfigFile: string
  readonly flannelNetConfFile: string
  readonly flannelSubnetFile: string
  readonly felixConfigFile: string
  /** Which image archives were imported into this containerd. */
  readonly importedImagesFile: string
  /** CNI configuration written by us. */
  readonly cniConfFile: string
  /** Names of the CNI plugins that we put into `cniBinDir`, so that reset removes those only. */
  readonly stagedCniFile: string
}

/** Derives the layout; pure. */
export function workerLayout(vars: CfgVars): WorkerLayout {
  const kubeletPkiDir = join(vars.kubeletRootDir, 'pki')
  return {
    caFile: join(vars.workerPkiDir, 'ca.crt'),
    rememberedConfigFile: join(vars.dataDir, 'worker-config.json'),
    bootstrapKeyFile: join(vars.workerPkiDir, 'node-bootstrap.key'),
    kubeletPkiDir,
    kubeletClientPem: join(kubeletPkiDir, 'kubelet-client-current.pem'),
    kubeletConfigFile: join(vars.runDir, 'kubelet', 'config.yaml'),
    kubeProxyConfigFile: join(vars.runDir, 'kube-proxy', 'config.yaml'),
    flannelNetConfFile: join(vars.runDir, 'flannel', 'net-conf.json'),
    flannelSubnetFile: join(vars.runDir, 'flannel', 'subnet.env'),
    felixConfigFile: join(vars.runDir, 'calico-felix', 'felix.cfg'),
    importedImagesFile: join(vars.containerdRootDir, 'k0s-imported-images.json'),
    cniConfFile: join(vars.cniConfDir, '10-calico.conflist'),
    stagedCniFile: join(vars.dataDir, 'cni-plugins.json'),
  }
}

/** Certificate and key of one identity in one file, so that a renewal replaces both at once. */
export function identityPemFile(vars: CfgVars, identity: WorkerIdentityName): string {
  return join(vars.workerPkiDir, `${kebab(identity)}.pem`)
}

/** Kubeconfig of one identity; it refers to `identityPemFile`. */
export function identityKubeconfig(vars: CfgVars, identity: WorkerIdentityName): string {
  return join(vars.workerPkiDir, `${kebab(identity)}.conf`)
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
