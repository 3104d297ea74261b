import * as Type from 'typebox'
import { duration, image, item, oneOf, port, section, strings } from '#pkg/apis/k0s/v1beta1/schema.ts'

const proxy = (name: string) =>
  section(`Settings of the balancer under the name of ${name}.`, {
    image: Type.Optional(image),
    imagePullPolicy: Type.Optional(
      oneOf(['Always', 'IfNotPresent', 'Never'], { description: 'Without effect: the balancer is built in.' }),
    ),
    apiServerBindPort: port('Loopback port on every worker in front of the API servers.', 7443),
    konnectivityServerBindPort: port('Without effect: the tunnel agent knows every controller itself.', 7132),
  })

/** spec.network.nodeLocalLoadBalancing. */
export const nodeLocalLoadBalancingSchema = section('The balancer on every worker; always on.', {
  enabled: Type.Boolean({ description: 'Without effect: always on.', default: true }),
  type: oneOf(['EnvoyProxy', 'Traefik'], {
    description: 'Which of the two settings below counts; the balancer is built in.',
    default: 'EnvoyProxy',
  }),
  envoyProxy: proxy('EnvoyProxy'),
  traefik: proxy('Traefik'),
})

const vrrpInstance = item({
  virtualIPs: strings('Virtual addresses with prefix length, for example 192.0.2.100/24.'),
  interface: Type.Optional(
    Type.String({ description: 'Name or MAC address of the interface; default: the one with spec.api.address.' }),
  ),
  virtualRouterID: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
  advertIntervalSeconds: Type.Integer({ default: 1, minimum: 1 }),
  authPass: Type.String({ minLength: 1, maxLength: 8 }),
  unicastPeers: strings('Addresses of the other controllers.'),
  unicastSourceIP: Type.Optional(Type.String()),
  addressLabel: Type.Integer({ description: 'Without effect.', default: 10000 }),
})

const virtualServer = item({
  ipAddress: Type.String(),
  delayLoop: duration('Interval of the health checks.', '1m0s'),
  lbAlgo: oneOf(['rr', 'wrr', 'lc', 'wlc', 'lblc', 'dh', 'sh', 'sed', 'nq'], {
    description: 'Scheduling.',
    default: 'rr',
  }),
  lbKind: oneOf(['DR', 'NAT', 'TUN'], { description: 'Forwarding.', default: 'DR' }),
  persistenceTimeoutSeconds: Type.Integer({ default: 360, minimum: 0 }),
})

/** spec.network.controlPlaneLoadBalancing. */
export const controlPlaneLoadBalancingSchema = section('A virtual address of the controllers.', {
  enabled: Type.Boolean({ description: 'Whether controllers share virtual addresses, by VRRP.', default: false }),
  type: oneOf(['Keepalived'], { description: 'Kind.', default: 'Keepalived' }),
  keepalived: Type.Optional(
    item({
      vrrpInstances: Type.Array(vrrpInstance, { default: [] }),
      virtualServers: Type.Array(virtualServer, { default: [] }),
      userSpaceProxyBindPort: port('Port of the balancer in user space.', 6444),
      disableLoadBalancer: Type.Boolean({
        description: 'Leave a virtual address to the API server of the controller that has it.',
        default: false,
      }),
      configTemplateVRRP: Type.Optional(Type.String({ description: 'Not available.' })),
      configTemplateVS: Type.Optional(Type.String({ description: 'Not available.' })),
    }),
  ),
})
