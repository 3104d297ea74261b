import type { Controllers } from '#pkg/component/cluster/controllers.ts'
import type { Component } from '#pkg/component/component.ts'
import { kubeApiServer } from '#pkg/component/controller/apiserver.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import { localApiServer, type ControllerDeps, type ControllerOptions } from '#pkg/component/controller/context.ts'
import { Etcd } from '#pkg/component/controller/etcd.ts'
import { StepAside } from '#pkg/component/controller/step-aside.ts'
import type { StoreServes } from '#pkg/component/controller/store-answers.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { type HttpProbeOptions, probeHttp } from '#pkg/net/probe.ts'

/** What the API server is made with. */
export interface ApiServerDeps extends ControllerDeps {
  readonly pki: PkiSource
  /** Undefined where it is none of this host. */
  readonly store: Component | undefined
  readonly controllers: Controllers
}

/** The API server; where there may be other controllers, one that steps aside while its store does not serve. */
export function apiServer(own: ControllerOptions, deps: ApiServerDeps): Component {
  const { store, controllers, pki } = deps
  const holder: { guard?: StepAside } = {}
  const isStoreGone = (): boolean => (store instanceof Etcd && store.isRemoved) || (holder.guard?.isAside ?? false)
  const storeServes = store === undefined ? storeOfOthers(own, pki) : (signal: AbortSignal) => store.ready(signal)
  const server = kubeApiServer(own, { ...deps, isStoreGone, storeServes })
  if (store === undefined || !own.joinable) return server
  const others = (): readonly string[] =>
    controllers
      .all()
      .filter(({ name }) => name !== own.nodeName)
      .map(({ apiServer: address }) => address)
  const guard = new StepAside(server, {
    storeServes,
    hasOthers: () => others().length > 0,
    anotherServes: async (signal) => {
      const client = { signal, ...adminOf(pki) }
      await Promise.any(others().map((address) => probeHttp(`https://${address}/readyz`, client)))
    },
  })
  holder.guard = guard
  return guard
}

/**
 * Of an etcd that is not of this host only its API server says whether it answers. One that has stopped listening says nothing: it has
 * reached etcd until then.
 */
function storeOfOthers(own: ControllerOptions, pki: PkiSource): StoreServes {
  return async (signal) => {
    try {
      await probeHttp(`${localApiServer(own.spec)}/readyz/etcd-readiness`, { signal, ...adminOf(pki) })
    } catch (err) {
      if (errnoCode((err as Error).cause) !== 'ECONNREFUSED') throw err
    }
  }
}

function adminOf(pki: PkiSource): Pick<HttpProbeOptions, 'ca' | 'cert' | 'key'> {
  const { authorities, leaves } = pki.material()
  return { ca: authorities.ca.certPem, cert: leaves.admin?.certPem, key: leaves.admin?.keyPem }
}
