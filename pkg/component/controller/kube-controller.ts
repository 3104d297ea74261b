import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { goRuntime } from '#pkg/component/controller/go-runtime.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import type { UserIds } from '#pkg/file/user.ts'
import { probeHttp } from '#pkg/net/probe.ts'

/** A program of Kubernetes' control plane that works through the API server, after it is ready. */
export interface KubeControllerSpec {
  readonly name: 'kube-controller-manager' | 'kube-scheduler'
  readonly args: readonly string[]
  readonly user: UserIds | undefined
  /** Loopback port of its health check. */
  readonly port: number
}

/** The component that runs such a program. */
export function kubeController(
  { name, args, user, port }: KubeControllerSpec,
  { vars }: Pick<ControllerOptions, 'vars'>,
  deps: ControllerDeps,
): Component {
  return new ProcessComponent(
    {
      name,
      after: ['kube-apiserver'],
      prepare: async ({ signal }) => ({
        name,
        path: await deps.binaries.stage(name, { signal }),
        args,
        env: goRuntime[name],
        user,
        pidFile: join(vars.runDir, `${name}.pid`),
        stopGraceMs: 10_000,
      }),
      probe: async (signal) => {
        await probeHttp(`https://127.0.0.1:${port}/healthz`, { signal })
      },
    },
    deps,
  )
}
