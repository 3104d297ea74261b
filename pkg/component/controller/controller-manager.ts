import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { kubeController } from '#pkg/component/controller/kube-controller.ts'
import { commonFlags } from '#pkg/component/controller/kube-flags.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { ports } from '#pkg/constant/ports.ts'
import { type Flags, mergeExtraArgs } from '#pkg/supervisor/args.ts'

/**
 * The controllers of Kubernetes. It ends when it starts before the API server's bootstrap objects exist, hence after
 * /readyz.
 */
export function kubeControllerManager(options: ControllerOptions, deps: ControllerDeps): Component {
  return kubeController(
    {
      name: 'kube-controller-manager',
      args: controllerManagerArgs(options),
      // The user of kube-apiserver: both need the key of service accounts.
      user: options.users.apiServer,
      port: ports.controllerManager,
    },
    options,
    deps,
  )
}

/** Command line of kube-controller-manager. Pure: a golden file pins it. */
export function controllerManagerArgs(options: ControllerOptions): string[] {
  const { vars, spec, single, controllerManagerExtraArgs } = options
  const { network } = spec
  const pki = (name: string): string => join(vars.pkiDir, name)
  const kubeconfig = pki('ccm.conf')
  const flags: Flags = {
    ...commonFlags(options, 'kube-controller-manager'),
    ...tlsFlags,
    'allocate-node-cidrs': 'true',
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'bind-address': '127.0.0.1',
    'client-ca-file': pki('ca.crt'),
    'cluster-name': 'k0s',
    'cluster-signing-cert-file': pki('ca.crt'),
    'cluster-signing-key-file': pki('ca.key'),
    controllers: '*,bootstrapsigner,tokencleaner',
    // Every controller makes itself a service account and a token at start, some hundred requests: at the default of
    // 20 a second that alone takes four seconds, during which no node gets a podCIDR.
    'kube-api-burst': '400',
    'kube-api-qps': '200',
    kubeconfig,
    // One controller for ever has nobody to elect; the lease of a killed one would hold it up for 15 s.
    'leader-elect': String(!single),
    'requestheader-client-ca-file': pki('front-proxy-ca.crt'),
    'root-ca-file': pki('ca.crt'),
    'secure-port': String(ports.controllerManager),
    'service-account-private-key-file': pki('sa.key'),
    'use-service-account-credentials': 'true',
    ...networkFlags(network),
  }
  return [
    ...mergeExtraArgs(flags, spec.controllerManager.extraArgs, spec.controllerManager.rawArgs),
    ...controllerManagerExtraArgs,
  ]
}

function networkFlags({ podCIDR, serviceCIDR, dualStack }: ControllerOptions['spec']['network']): Flags {
  const { enabled, IPv6podCIDR, IPv6serviceCIDR } = dualStack
  if (!enabled || IPv6podCIDR === undefined || IPv6serviceCIDR === undefined) {
    return { 'cluster-cidr': podCIDR, 'service-cluster-ip-range': serviceCIDR, 'node-cidr-mask-size': '24' }
  }
  return {
    'cluster-cidr': `${podCIDR},${IPv6podCIDR}`,
    'service-cluster-ip-range': `${serviceCIDR},${IPv6serviceCIDR}`,
    'node-cidr-mask-size-ipv4': '24',
    'node-cidr-mask-size-ipv6': '117',
  }
}
