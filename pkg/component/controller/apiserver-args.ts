import { join } from 'node:path'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { externalEtcdFiles } from '#pkg/component/controller/external-etcd-files.ts'
import { commonFlags } from '#pkg/component/controller/kube-flags.ts'
import { frontProxyClientName } from '#pkg/component/controller/pki.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { type Flags, mergeExtraArgs } from '#pkg/supervisor/args.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'
import { etcdClientFiles } from '#pkg/etcd/client-files.ts'

/** Command line of kube-apiserver. Pure: a golden file pins it. */
export function apiServerArgs(options: ControllerOptions): string[] {
  const { vars, spec, tunnel } = options
  const { api, network } = spec
  const pki = (name: string): string => join(vars.pkiDir, name)
  const serviceCidrs = network.dualStack.enabled
    ? [network.serviceCIDR, network.dualStack.IPv6serviceCIDR].filter((cidr) => cidr !== undefined).join(',')
    : network.serviceCIDR
  const flags: Flags = {
    ...commonFlags(options, 'kube-apiserver'),
    ...tlsFlags,
    ...storageFlags(options),
    'advertise-address': api.address,
    'allow-privileged': 'true',
    'anonymous-auth': 'false',
    'api-audiences': 'https://kubernetes.default.svc,system:konnectivity-server',
    'authorization-mode': 'Node,RBAC',
    'client-ca-file': pki('ca.crt'),
    'enable-admission-plugins': 'NodeRestriction',
    'enable-bootstrap-token-auth': 'true',
    'kubelet-certificate-authority': pki('ca.crt'),
    'kubelet-client-certificate': pki('apiserver-kubelet-client.crt'),
    'kubelet-client-key': pki('apiserver-kubelet-client.key'),
    // Host names of workers mean nothing to a controller; addresses go through the tunnel.
    'kubelet-preferred-address-types': 'InternalIP,ExternalIP,Hostname',
    'proxy-client-cert-file': pki('front-proxy-client.crt'),
    'proxy-client-key-file': pki('front-proxy-client.key'),
    'requestheader-allowed-names': frontProxyClientName,
    'requestheader-client-ca-file': pki('front-proxy-ca.crt'),
    'requestheader-extra-headers-prefix': 'X-Remote-Extra-',
    'requestheader-group-headers': 'X-Remote-Group',
    'requestheader-username-headers': 'X-Remote-User',
    'secure-port': String(api.port),
    // Pods' watches outlive a controller: unless they are told to end, a stop waits a minute for them.
    'shutdown-watch-termination-grace-period': '2s',
    'service-account-issuer': 'https://kubernetes.default.svc',
    'service-account-jwks-uri': 'https://kubernetes.default.svc/openid/v1/jwks',
    'service-account-key-file': pki('sa.pub'),
    'service-account-signing-key-file': pki('sa.key'),
    'service-cluster-ip-range': serviceCidrs,
    'tls-cert-file': pki('server.crt'),
    'tls-private-key-file': pki('server.key'),
    ...(tunnel ? { 'egress-selector-config-file': vars.egressSelectorConfig } : {}),
    ...(api.onlyBindToAddress ? { 'bind-address': api.address } : {}),
  }
  return mergeExtraArgs(flags, api.extraArgs, api.rawArgs)
}

function storageFlags(options: ControllerOptions): Flags {
  const { vars, spec } = options
  const { storage } = spec
  if (storage.type === 'kine') return { 'etcd-servers': `unix://${vars.kineSocket}` }
  const external = storage.etcd.externalCluster
  if (external === undefined) {
    const { ca, cert, key } = etcdClientFiles(vars)
    return { 'etcd-servers': etcdClientUrl, 'etcd-cafile': ca, 'etcd-certfile': cert, 'etcd-keyfile': key }
  }
  const { endpoints, etcdPrefix } = external
  const files = externalEtcdFiles(options)
  return {
    'etcd-servers': endpoints.join(','),
    'etcd-prefix': etcdPrefix,
    ...(files && { 'etcd-cafile': files.ca, 'etcd-certfile': files.cert, 'etcd-keyfile': files.key }),
  }
}

/**
 * Tells kube-apiserver to reach nodes, pods and Services through the tunnel: HTTP CONNECT over a unix socket, which needs
 * no HTTP/2 session a dial and gives each connection back-pressure of its own. Pure.
 */
export function egressSelectorConfig(udsName: string): string {
  return `${JSON.stringify(
    {
      apiVersion: 'apiserver.k8s.io/v1beta1',
      kind: 'EgressSelectorConfiguration',
      egressSelections: [
        {
          name: 'cluster',
          connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName } } },
        },
      ],
    },
    undefined,
    2,
  )}\n`
}
