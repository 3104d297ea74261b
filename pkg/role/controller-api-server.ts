import type { Controllers } from '#pkg/component/cluster/controllers.ts'
import type { Component } from '#pkg/component/component.ts'
import { kubeApiServer } from '#pkg/component/controller/apiserver.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { Etcd } from '#pkg/component/controller/etcd.ts'
import { StepAside } from '#pkg/component/controller/step-aside.ts'
import { probeHttp } from '#pkg/net/probe.ts'

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
  const server = kubeApiServer(own, { ...deps, isStoreGone })
  if (store === undefined || !own.joinable) return server
  const others = (): readonly string[] =>
    controllers
      .all()
      .filter(({ name }) => name !== own.nodeName)
      .map(({ apiServer: address }) => address)
  const guard = new StepAside(server, {
    storeServes: (signal) => store.ready(signal),
    hasOthers: () => others().length > 0,
    anotherServes: async (signal) => {
      const { authorities, leaves } = pki.material()
      const client = { ca: authorities.ca.certPem, cert: leaves.admin?.certPem, key: leaves.admin?.keyPem }
      await Promise.any(others().map((address) => probeHttp(`https://${address}/readyz`, { signal, ...client })))
    },
  })
  holder.guard = guard
  return guard
}
