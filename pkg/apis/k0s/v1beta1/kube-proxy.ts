import * as Type from 'typebox'
import { duration, extraArgs, oneOf, patches, rawArgs, section, strings } from '#pkg/apis/k0s/v1beta1/schema.ts'

const masqueradeBit = Type.Optional(
  Type.Integer({ description: 'Bit of the packet mark for masquerading.', minimum: 0, maximum: 31 }),
)
const masqueradeAll = Type.Optional(Type.Boolean({ description: 'Masquerade all traffic to Service addresses.' }))
const syncPeriod = Type.Optional(duration('How often rules are refreshed.'))
const minSyncPeriod = Type.Optional(duration('How often rules are refreshed at most.'))

/** spec.network.kubeProxy. */
export const kubeProxySchema = section('kube-proxy of the workers.', {
  disabled: Type.Boolean({ description: 'Run no kube-proxy.', default: false }),
  mode: oneOf(['nftables', 'iptables', 'ipvs', 'userspace'], {
    description: 'How Services are made: nftables or iptables.',
    default: 'nftables',
  }),
  metricsBindAddress: Type.String({ description: 'Address and port of the metrics.', default: '0.0.0.0:10249' }),
  healthzBindAddress: Type.String({ description: 'Address and port of the health check.', default: '0.0.0.0:10256' }),
  nodePortAddresses: strings('CIDRs of the addresses that node ports listen on; empty: all.'),
  iptables: section('Settings of the iptables mode.', {
    masqueradeBit,
    masqueradeAll,
    localhostNodePorts: Type.Optional(Type.Boolean({ description: 'Answer node ports on loopback.' })),
    syncPeriod,
    minSyncPeriod,
  }),
  nftables: section('Settings of the nftables mode.', { syncPeriod, minSyncPeriod, masqueradeBit, masqueradeAll }),
  ipvs: section('Settings of the ipvs mode; without effect here.', {
    syncPeriod,
    minSyncPeriod,
    scheduler: Type.Optional(Type.String()),
    excludeCIDRs: strings('CIDRs left alone.'),
    strictARP: Type.Optional(Type.Boolean()),
    tcpTimeout: Type.Optional(duration('Idle TCP sessions.')),
    tcpFinTimeout: Type.Optional(duration('TCP sessions after a FIN.')),
    udpTimeout: Type.Optional(duration('Idle UDP flows.')),
  }),
  extraArgs,
  rawArgs,
  patches,
})
