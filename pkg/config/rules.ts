import { featureGateComponents } from '#pkg/apis/k0s/v1beta1/extensions.ts'
import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import { goDurationMs } from '#pkg/apis/duration.ts'
import { addressProblems } from '#pkg/config/rules-address.ts'
import { loadBalancingProblems } from '#pkg/config/rules-load-balancing.ts'
import { patchProblems } from '#pkg/config/rules-patches.ts'
import type { Problem } from '#pkg/config/problem.ts'

/** Everything that is wrong although each value by itself is valid. Pure. */
export function ruleProblems(spec: ClusterSpec): readonly Problem[] {
  return [
    ...addressProblems(spec),
    ...providerProblems(spec),
    ...storageProblems(spec),
    ...portProblems(spec),
    ...loadBalancingProblems(spec),
    ...profileProblems(spec),
    ...featureGateProblems(spec),
    ...validityProblems(spec),
    ...patchProblems(spec),
  ]
}

function providerProblems({ network }: ClusterSpec): readonly Problem[] {
  const problems: Problem[] = []
  if (network.provider === 'kuberouter') {
    problems.push({ path: 'spec.network.provider', message: 'kuberouter is not part of this product; use flannel' })
  }
  if (network.provider === 'calico') {
    problems.push({ path: 'spec.network.provider', message: 'calico is not available yet; use flannel' })
  }
  if (network.kubeProxy.mode === 'ipvs' || network.kubeProxy.mode === 'userspace') {
    problems.push({
      path: 'spec.network.kubeProxy.mode',
      message: `${network.kubeProxy.mode} is not available; use nftables or iptables`,
    })
  }
  if (network.dualStack.enabled && network.provider !== 'custom') {
    problems.push({
      path: 'spec.network.dualStack.enabled',
      message: 'dual stack is not available with the built-in network yet; use provider custom or set it to false',
    })
  }
  return problems
}

function storageProblems({ storage }: ClusterSpec): readonly Problem[] {
  const problems: Problem[] = []
  const { externalCluster } = storage.etcd
  if (externalCluster !== undefined) {
    const { caFile, clientCertFile, clientKeyFile } = externalCluster
    const given = [caFile, clientCertFile, clientKeyFile].filter((file) => file !== undefined).length
    if (given !== 0 && given !== 3) {
      problems.push({
        path: 'spec.storage.etcd.externalCluster',
        message: 'give all of caFile, clientCertFile and clientKeyFile, or none',
      })
    }
  }
  const { dataSource, extraArgs } = storage.kine
  for (const flag of ['ca-file', 'cert-file', 'key-file']) {
    const path = extraArgs[flag] ?? extraArgs[`--${flag}`]
    if (path === undefined || path.startsWith('/')) continue
    problems.push({ path: `spec.storage.kine.extraArgs.${flag}`, message: 'not an absolute path; give one' })
  }
  if (dataSource !== undefined && !/^(sqlite|postgres|postgresql|mysql):\/\//.test(dataSource)) {
    // The rest of it may be a password.
    const scheme = /^([a-z0-9+]+):\/\//.exec(dataSource)?.[1]
    problems.push({
      path: 'spec.storage.kine.dataSource',
      message: `${scheme === undefined ? 'not a URL' : `"${scheme}" is not a database that k0s knows`}; use sqlite://, postgres:// or mysql://`,
    })
  }
  return problems
}

function portProblems({ api, konnectivity }: ClusterSpec): readonly Problem[] {
  const used: Readonly<Record<string, number>> = {
    'spec.api.port': api.port,
    'spec.api.k0sApiPort': api.k0sApiPort,
    'spec.konnectivity.agentPort': konnectivity.agentPort,
    'spec.konnectivity.adminPort': konnectivity.adminPort,
  }
  const entries = Object.entries(used)
  return entries.flatMap(([path, port], i) => {
    const other = entries.slice(0, i).find(([, taken]) => taken === port)
    return other === undefined ? [] : [{ path, message: `port ${port} is that of ${other[0]} already` }]
  })
}

// The controller sets them: k0s refuses the same five.
const managedKubeletFields = new Set(['clusterDNS', 'clusterDomain', 'apiVersion', 'kind', 'staticPodURL'])

function profileProblems({ workerProfiles }: ClusterSpec): readonly Problem[] {
  return workerProfiles.flatMap(({ name, values }, i) => {
    const path = `spec.workerProfiles[${i}]`
    const problems: Problem[] = []
    // It becomes part of a ConfigMap's name.
    if (!/^[a-z0-9]([-a-z0-9.]{0,200}[a-z0-9])?$/.test(name)) {
      problems.push({ path: `${path}.name`, message: `"${name}" is not valid: use lower-case letters, digits and -` })
    }
    if (workerProfiles.findIndex((other) => other.name === name) < i) {
      problems.push({ path: `${path}.name`, message: `there are two profiles "${name}"` })
    }
    for (const field of Object.keys(values).filter((key) => managedKubeletFields.has(key))) {
      problems.push({ path: `${path}.values.${field}`, message: 'is set by the controller; remove it' })
    }
    return problems
  })
}

function featureGateProblems({ featureGates }: ClusterSpec): readonly Problem[] {
  const known: readonly string[] = featureGateComponents
  return featureGates.flatMap(({ name, components }, i) => {
    const path = `spec.featureGates[${i}]`
    const problems = components.flatMap((component, j) =>
      known.includes(component)
        ? []
        : [{ path: `${path}.components[${j}]`, message: `"${component}" is not one of ${known.join(', ')}` }],
    )
    const twice = featureGates.findIndex((other) => other.name === name) < i
    return twice ? [...problems, { path: `${path}.name`, message: `"${name}" is given twice` }] : problems
  })
}

function validityProblems({ api, storage }: ClusterSpec): readonly Problem[] {
  const authorities = { 'spec.api.ca': api.ca, 'spec.storage.etcd.ca': storage.etcd.ca }
  return Object.entries(authorities).flatMap(([path, ca]) =>
    (['expiresAfter', 'certificatesExpireAfter'] as const)
      // Below this, what is issued would be due for renewal before the cluster is up.
      .filter((key) => (goDurationMs(ca[key]) ?? 0) < 600_000)
      .map((key) => ({ path: `${path}.${key}`, message: `${ca[key]} is too short; use at least 10m` })),
  )
}
