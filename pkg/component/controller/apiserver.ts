import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import { apiServerArgs, egressSelectorConfig } from '#pkg/component/controller/apiserver-args.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import {
  localApiServer,
  storageComponent,
  type ControllerDeps,
  type ControllerOptions,
} from '#pkg/component/controller/context.ts'
import { placeExternalEtcdFiles } from '#pkg/component/controller/external-etcd-files.ts'
import { goRuntime } from '#pkg/component/controller/go-runtime.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { type StoreServes, untilStoreSilent } from '#pkg/component/controller/store-answers.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { probeHttp } from '#pkg/net/probe.ts'

/** Without its store it waits for answers that nobody gives, milliseconds. */
const GONE_STORE_GRACE_MS = 1_000

/** The API server. Ready means /readyz: every start-up hook is done, bootstrap RBAC included. */
export function kubeApiServer(
  options: ControllerOptions,
  deps: ControllerDeps & {
    readonly pki: PkiSource
    /** The store will not come back: there is nothing to wait for in a stop. */
    readonly isStoreGone: () => boolean
    readonly storeServes: StoreServes
  },
): Component {
  const { vars, spec, users } = options
  const storage = storageComponent(spec)
  return new ProcessComponent(
    {
      name: 'kube-apiserver',
      after: ['certificates', ...(storage === undefined ? [] : [storage])],
      prepare: async ({ signal }) => {
        const config = egressSelectorConfig(vars.konnectivitySocket)
        const [path] = await Promise.all([
          deps.binaries.stage('kube-apiserver', { signal }),
          writeFileAtomic(vars.egressSelectorConfig, config, { mode: 0o644 }),
          placeExternalEtcdFiles(options),
        ])
        return {
          name: 'kube-apiserver',
          path,
          args: apiServerArgs(options),
          env: goRuntime['kube-apiserver'],
          user: users.apiServer,
          pidFile: join(vars.runDir, 'kube-apiserver.pid'),
          stopGraceMs: options.apiServerStopTimeoutMs,
          stopGraceNowMs: () => (deps.isStoreGone() ? GONE_STORE_GRACE_MS : options.apiServerStopTimeoutMs),
          untilInVain: (signal) => untilStoreSilent(deps.storeServes, signal),
        }
      },
      probe: async (signal) => {
        const { authorities, leaves } = deps.pki.material()
        // Anonymous requests are off, /readyz included.
        const client = { ca: authorities.ca.certPem, cert: leaves.admin?.certPem, key: leaves.admin?.keyPem }
        await probeHttp(`${localApiServer(spec)}/readyz`, { signal, ...client })
      },
    },
    deps,
  )
}
