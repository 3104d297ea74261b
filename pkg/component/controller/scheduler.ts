import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { kubeController } from '#pkg/component/controller/kube-controller.ts'
import { commonFlags } from '#pkg/component/controller/kube-flags.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { ports } from '#pkg/constant/ports.ts'
import { mergeExtraArgs } from '#pkg/supervisor/args.ts'

/** Places pods on nodes. */
export function kubeScheduler(options: ControllerOptions, deps: ControllerDeps): Component {
  const { scheduler: user } = options.users
  const spec = { name: 'kube-scheduler', args: schedulerArgs(options), user, port: ports.scheduler } as const
  return kubeController(spec, options, deps)
}

/** Command line of kube-scheduler. Pure: a golden file pins it. */
export function schedulerArgs(options: ControllerOptions): string[] {
  const { vars, spec, single } = options
  const kubeconfig = join(vars.pkiDir, 'scheduler.conf')
  const flags = {
    ...commonFlags(options, 'kube-scheduler'),
    ...tlsFlags,
    'authentication-kubeconfig': kubeconfig,
    'authorization-kubeconfig': kubeconfig,
    'bind-address': '127.0.0.1',
    kubeconfig,
    'leader-elect': String(!single),
    'secure-port': String(ports.scheduler),
  }
  return mergeExtraArgs(flags, spec.scheduler.extraArgs, spec.scheduler.rawArgs)
}
