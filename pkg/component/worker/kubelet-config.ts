/** What the kubelet's configuration takes from this node; the rest is the worker profile's. */
export interface KubeletNodeFacts {
  readonly caFile: string
  readonly cgroupDriver: 'systemd' | 'cgroupfs'
  /** Endpoint of the container runtime, `unix:///…`. */
  readonly runtimeEndpoint: string
  readonly resolvConf: string
  readonly taints: readonly string[]
}

/**
 * The KubeletConfiguration (kubelet.config.k8s.io/v1beta1) of this node. What the node has to decide wins over the
 * profile, except for `cgroupRoot`, `resolvConf` and whatever else the profile may say that this function does not set.
 */
export function kubeletConfiguration(
  profile: Readonly<Record<string, unknown>>,
  facts: KubeletNodeFacts,
): Readonly<Record<string, unknown>> {
  return {
    resolvConf: facts.resolvConf,
    // Works on cgroup v1 too, where the kubelet of 1.35 and later refuses to start by default.
    failCgroupV1: false,
    ...profile,
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    authentication: {
      ...record(profile['authentication']),
      x509: { clientCAFile: facts.caFile },
    },
    cgroupDriver: facts.cgroupDriver,
    containerRuntimeEndpoint: facts.runtimeEndpoint,
    rotateCertificates: true,
    serverTLSBootstrap: true,
    ...(facts.taints.length === 0 ? {} : { registerWithTaints: facts.taints.map(parseTaint) }),
  }
}

/** `key=value:effect` or `key:effect`, as kubectl taint takes it. */
export function parseTaint(text: string): Readonly<Record<string, string>> {
  const [, key = '', value, effect = ''] = /^([^=:]+)(?:=([^:]*))?:(\w+)$/.exec(text) ?? []
  return { key, effect, ...(value === undefined || value === '' ? {} : { value }) }
}

function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {}
}
