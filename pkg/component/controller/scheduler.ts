import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { goRuntime } from '#pkg/component/controller/go-runtime.ts'
import { commonFlags } from '#pkg/component/controller/kube-flags.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { ProcessComponent } from '#pkg/component/worker/process-component.ts'
import { ports } from '#pkg/constant/ports.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { mergeExtraArgs } from '#pkg/supervisor/args.ts'

/** Places pods on nodes. */
export function kubeScheduler(options: ControllerOptions, deps: ControllerDeps): Component {
  const { vars, users } = options
  return new ProcessComponent(
    {
      name: 'kube-scheduler',
      after: ['kube-apiserver'],
      prepare: async ({ signal }) => ({
        name: 'kube-scheduler',
        path: await deps.binaries.stage('kube-scheduler', { signal }),
        args: schedulerArgs(options),
        env: goRuntime['kube-scheduler'],
        user: users.scheduler,
        pidFile: join(vars.runDir, 'kube-scheduler.pid'),
        stopGraceMs: 10_000,
      }),
      probe: async (signal) => {
        await probeHttp(`https://127.0.0.1:${ports.scheduler}/healthz`, { signal })
      },
    },
    deps,
  )
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
