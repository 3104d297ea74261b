import * as Type from 'typebox'
import { kubeProxySchema } from '#pkg/apis/k0s/v1beta1/kube-proxy.ts'
import { controlPlaneLoadBalancingSchema, nodeLocalLoadBalancingSchema } from '#pkg/apis/k0s/v1beta1/load-balancing.ts'
import { extraArgs, oneOf, patches, port, rawArgs, section } from '#pkg/apis/k0s/v1beta1/schema.ts'

const flannel = section('Settings of provider flannel: routes by flannel, NetworkPolicy by Felix.', {
  backend: oneOf(['vxlan', 'host-gw'], {
    description: 'vxlan works everywhere; host-gw is faster where all workers share a layer 2 network.',
    default: 'vxlan',
  }),
  vni: Type.Integer({ description: 'VXLAN network identifier.', default: 1, minimum: 1, maximum: 16777215 }),
  port: Type.Integer({ description: 'UDP port of VXLAN.', default: 8472, minimum: 1, maximum: 65535 }),
  mtu: Type.Integer({ description: 'MTU of pod interfaces; 0 derives it from the uplink.', default: 0, minimum: 0 }),
})

const calico = section('Settings of provider calico; not available yet.', {
  mode: oneOf(['vxlan', 'bird', 'ipip'], { description: 'Encapsulation.', default: 'vxlan' }),
  overlay: oneOf(['Always', 'CrossSubnet', 'Never'], { description: 'When to encapsulate.', default: 'Always' }),
  vxlanPort: port('UDP port of VXLAN.', 4789),
  vxlanVNI: Type.Integer({ default: 4096, minimum: 1, maximum: 16777215 }),
  mtu: Type.Integer({ default: 1450, minimum: 0 }),
  wireguard: Type.Boolean({ default: false }),
  flexVolumeDriverPath: Type.Optional(Type.String()),
  ipAutodetectionMethod: Type.Optional(Type.String()),
  ipV6AutodetectionMethod: Type.Optional(Type.String()),
  envVars: Type.Record(Type.String(), Type.String(), { default: {} }),
  patches,
})

const kuberouter = section('Settings of k0s provider kuberouter; without effect here.', {
  autoMTU: Type.Optional(Type.Boolean()),
  mtu: Type.Optional(Type.Integer({ minimum: 0 })),
  metricsPort: Type.Optional(Type.Integer({ minimum: 0, maximum: 65535 })),
  hairpin: Type.Optional(oneOf(['Enabled', 'Allowed', 'Disabled'], { description: 'Hairpin mode.' })),
  hairpinMode: Type.Optional(Type.Boolean()),
  ipMasq: Type.Optional(Type.Boolean()),
  peerRouterIPs: Type.Optional(Type.String()),
  peerRouterASNs: Type.Optional(Type.String()),
  extraArgs,
  rawArgs,
  patches,
})

/** spec.network. */
export const networkSchema = section('Addresses and networking of pods and Services.', {
  provider: oneOf(['flannel', 'calico', 'custom', 'kuberouter'], {
    description: 'flannel (with NetworkPolicy), or custom to bring a CNI plugin of your own.',
    default: 'flannel',
  }),
  podCIDR: Type.String({ description: 'Addresses of pods.', default: '10.244.0.0/16' }),
  serviceCIDR: Type.String({ description: 'Addresses of Services.', default: '10.96.0.0/12' }),
  clusterDomain: Type.String({ description: 'DNS domain of the cluster.', default: 'cluster.local', minLength: 1 }),
  primaryAddressFamily: Type.Optional(oneOf(['', 'IPv4', 'IPv6'], { description: 'Which family comes first.' })),
  dualStack: section('IPv4 and IPv6 together.', {
    enabled: Type.Boolean({ description: 'Give pods and Services both.', default: false }),
    IPv6podCIDR: Type.Optional(Type.String({ description: 'IPv6 addresses of pods.' })),
    IPv6serviceCIDR: Type.Optional(Type.String({ description: 'IPv6 addresses of Services, /108 or smaller.' })),
  }),
  flannel,
  calico,
  kuberouter,
  kubeProxy: kubeProxySchema,
  coreDNS: section('Cluster DNS.', { patches }),
  nodeLocalLoadBalancing: nodeLocalLoadBalancingSchema,
  controlPlaneLoadBalancing: controlPlaneLoadBalancingSchema,
})
