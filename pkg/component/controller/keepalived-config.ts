import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'

type Cplb = ClusterSpec['network']['controlPlaneLoadBalancing']
/** One entry of spec.network.controlPlaneLoadBalancing.keepalived.vrrpInstances. */
export type VrrpInstance = NonNullable<Cplb['keepalived']>['vrrpInstances'][number]

/** What the configuration of keepalived is made of. */
export interface KeepalivedOptions {
  readonly instances: readonly (VrrpInstance & { readonly interface: string })[]
  /** Run each second: the addresses are given up while it fails. */
  readonly checkCommand: string
}

/** The first instance's router id when none is given, the others follow; k0s's. */
const FIRST_ROUTER_ID = 51

/**
 * keepalived.conf(5). Controllers are equal: all begin as BACKUP with the same priority, and the one that holds an address
 * keeps it until it is gone. Pure; a golden file pins it. It holds a password: mode 0600.
 */
export function renderKeepalivedConfig({ instances, checkCommand }: KeepalivedOptions): string {
  return [
    'global_defs {',
    '  script_user root',
    '  enable_script_security',
    '}',
    'vrrp_script k0s {',
    `  script "${checkCommand}"`,
    '  interval 1',
    '  timeout 1',
    '  fall 2',
    '  rise 1',
    '}',
    ...instances.flatMap(renderInstance),
    '',
  ].join('\n')
}

function renderInstance(instance: KeepalivedOptions['instances'][number], index: number): readonly string[] {
  const { unicastSourceIP, unicastPeers, virtualIPs } = instance
  return [
    `vrrp_instance k0s-vip-${index} {`,
    '  state BACKUP',
    '  nopreempt',
    `  interface ${instance.interface}`,
    `  virtual_router_id ${instance.virtualRouterID ?? FIRST_ROUTER_ID + index}`,
    '  priority 100',
    `  advert_int ${instance.advertIntervalSeconds}`,
    '  authentication {',
    '    auth_type PASS',
    `    auth_pass ${instance.authPass}`,
    '  }',
    ...(unicastSourceIP === undefined ? [] : [`  unicast_src_ip ${unicastSourceIP}`]),
    ...(unicastPeers.length === 0 ? [] : ['  unicast_peer {', ...unicastPeers.map((peer) => `    ${peer}`), '  }']),
    '  virtual_ipaddress {',
    ...virtualIPs.map((address) => `    ${address}`),
    '  }',
    '  track_script {',
    '    k0s',
    '  }',
    '}',
  ]
}
