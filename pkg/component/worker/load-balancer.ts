import type { Component } from '#pkg/component/component.ts'
import { LoadBalancer } from '#pkg/nllb/load-balancer.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The address on which every client of this node finds a living API server. */
export function nodeLocalLoadBalancer(context: WorkerContext): Component & { readonly warnings: readonly string[] } {
  let balancer: LoadBalancer | undefined
  let unfollow: (() => void) | undefined
  return {
    name: 'nllb',
    after: ['worker-config'],
    start: async ({ log }) => {
      const { apiServerBindPort } = context.config.get().nodeLocalLoadBalancing
      balancer = new LoadBalancer({ listenHost: '127.0.0.1', listenPort: apiServerBindPort }, { log })
      balancer.setBackends(backends(context))
      await balancer.start()
      unfollow = context.config.follow(() => balancer?.setBackends(backends(context)))
    },
    ready: async () => {
      if (balancer === undefined) throw new Error('not started')
      await Promise.resolve()
    },
    get warnings() {
      const dead = balancer?.status().backends.filter(({ healthy }) => !healthy) ?? []
      return dead.map(({ address, lastError }) => `${address} does not answer: ${lastError ?? 'no reason known'}`)
    },
    stop: async () => {
      unfollow?.()
      await balancer?.stop()
      balancer = undefined
    },
  }
}

function backends({ config, options }: WorkerContext): readonly { readonly host: string; readonly port: number }[] {
  const { apiServerAddresses } = config.get()
  return (apiServerAddresses.length > 0 ? apiServerAddresses : options.apiServers).map(splitHostPort)
}
