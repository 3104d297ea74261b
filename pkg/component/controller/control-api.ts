import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import { probeHttp } from '#pkg/net/probe.ts'

/** Collaborators of the component. */
export interface ControlApiDeps extends ControllerDeps {
  readonly pki: PkiSource
  /** What `k0s api` reads from its standard input. */
  readonly config: () => object
}

/**
 * The join API: `k0s api` as a child under a user of its own. What it needs, keys included, comes over its standard input:
 * that user can read no file of the cluster.
 */
export function controlApi({ vars, users, spec }: ControllerOptions, deps: ControlApiDeps): Component {
  return new ProcessComponent(
    {
      name: 'control-api',
      after: ['kube-apiserver'],
      prepare: async () => ({
        name: 'control-api',
        ...(await deps.binaries.self('api', [])),
        user: users.api,
        pidFile: join(vars.runDir, 'control-api.pid'),
        stopGraceMs: 5_000,
        stdin: JSON.stringify(deps.config()),
      }),
      probe: async (signal) => {
        const host = spec.api.onlyBindToAddress ? spec.api.address : '127.0.0.1'
        const ca = deps.pki.material().authorities.ca.certPem
        await probeHttp(`https://${joinHostPort(host, spec.api.k0sApiPort)}/healthz`, { signal, ca })
      },
    },
    deps,
  )
}
