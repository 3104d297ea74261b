import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { Problem } from '#pkg/config/problem.ts'
import { type Cidr, cidrsOverlap, isIp, parseCidr } from '#pkg/net/ip.ts'

/** Whether a text can be a DNS name: RFC 1123 labels; a first label of `*` too. */
export function isDnsName(text: string): boolean {
  return (
    text.length <= 253 &&
    /^(\*\.)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$/i.test(text)
  )
}

/** What is wrong with addresses, names and networks. Pure. */
export function addressProblems(spec: ClusterSpec): readonly Problem[] {
  return [...networkProblems(spec), ...nameProblems(spec), ...bindProblems(spec)]
}

interface Network {
  readonly path: string
  readonly text: string
  readonly cidr: Cidr | undefined
}

function networkProblems({ network }: ClusterSpec): readonly Problem[] {
  const { dualStack } = network
  const given: readonly (readonly [string, string | undefined])[] = [
    ['podCIDR', network.podCIDR],
    ['serviceCIDR', network.serviceCIDR],
    ...(dualStack.enabled
      ? ([
          ['dualStack.IPv6podCIDR', dualStack.IPv6podCIDR],
          ['dualStack.IPv6serviceCIDR', dualStack.IPv6serviceCIDR],
        ] as const)
      : []),
  ]
  const networks: readonly Network[] = given.map(([key, text = '']) => ({
    path: `spec.network.${key}`,
    text,
    cidr: tryParseCidr(text),
  }))
  return networks.flatMap((one, i) => [
    ...sizeProblems(one),
    ...networks.slice(0, i).flatMap((other) => overlapProblems(one, other)),
  ])
}

function overlapProblems(one: Network, other: Network): readonly Problem[] {
  if (one.cidr === undefined || other.cidr === undefined || !cidrsOverlap(one.cidr, other.cidr)) return []
  const message = `${one.text} overlaps with ${other.path} ${other.text}; choose networks that share no address`
  return [{ path: one.path, message }]
}

function sizeProblems({ path, text, cidr }: Network): readonly Problem[] {
  const problem = (message: string): readonly Problem[] => [{ path, message }]
  if (cidr === undefined) return problem(`"${text}" is not a CIDR; write it as 10.244.0.0/16`)
  const sixth = path.includes('IPv6')
  if (sixth && cidr.family !== 6) return problem(`${text} is not an IPv6 network`)
  if (!sixth && cidr.family !== 4) return problem(`${text} is not an IPv4 network; IPv6 alone is not available yet`)
  if (path.endsWith('podCIDR')) {
    // Each node gets a /24 (IPv6: /117) of it.
    const most = cidr.family === 4 ? 24 : 117
    return cidr.prefixLength <= most ? [] : problem(`${text} is too small: each node takes a /${most} of it`)
  }
  // kube-apiserver takes at most 2^20 Service addresses; cluster DNS is the tenth.
  const [least, most] = cidr.family === 4 ? [12, 28] : [108, 124]
  if (cidr.prefixLength < least) return problem(`${text} is too large; use a prefix of /${least} to /${most}`)
  return cidr.prefixLength <= most ? [] : problem(`${text} is too small; use a prefix of /${least} to /${most}`)
}

function nameProblems({ api, network, konnectivity, storage }: ClusterSpec): readonly Problem[] {
  const problems: Problem[] = []
  const check = (path: string, value: string | undefined, options: { readonly ipOnly: boolean }): void => {
    if (value === undefined || isIp(value) || (!options.ipOnly && isDnsName(value))) return
    const wanted = options.ipOnly ? 'an IP address' : 'an IP address or a DNS name'
    problems.push({ path, message: `"${value}" is not ${wanted}` })
  }
  check('spec.api.address', api.address, { ipOnly: true })
  check('spec.api.externalAddress', api.externalAddress, { ipOnly: false })
  api.sans.forEach((san, i) => check(`spec.api.sans[${i}]`, san, { ipOnly: false }))
  check('spec.konnectivity.externalAddress', konnectivity.externalAddress, { ipOnly: false })
  check('spec.storage.etcd.peerAddress', storage.etcd.peerAddress, { ipOnly: true })
  if (!isDnsName(network.clusterDomain)) {
    problems.push({ path: 'spec.network.clusterDomain', message: `"${network.clusterDomain}" is not a DNS name` })
  }
  return problems
}

function bindProblems({ network: { kubeProxy } }: ClusterSpec): readonly Problem[] {
  const path = 'spec.network.kubeProxy'
  const binds = (['metricsBindAddress', 'healthzBindAddress'] as const)
    .filter((key) => !/^(\[[0-9a-f:]+\]|[0-9.]+):\d{1,5}$/i.test(kubeProxy[key]))
    .map((key) => ({ path: `${path}.${key}`, message: `"${kubeProxy[key]}" is not an address with a port` }))
  const nodePorts = kubeProxy.nodePortAddresses.flatMap((text, i) =>
    text === 'primary' || tryParseCidr(text) !== undefined
      ? []
      : [{ path: `${path}.nodePortAddresses[${i}]`, message: `"${text}" is not a CIDR` }],
  )
  return [...binds, ...nodePorts]
}

function tryParseCidr(text: string): Cidr | undefined {
  try {
    return parseCidr(text)
  } catch {
    return undefined
  }
}
