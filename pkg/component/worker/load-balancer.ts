import type { Component } from '#pkg/component/component.ts'
import type { BackendStatus } from '#pkg/nllb/backend.ts'
import { LoadBalancer } from '#pkg/nllb/load-balancer.ts'
import { ReadinessProbe, type ProbeCredentials } from '#pkg/nllb/readiness-probe.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import { identityPemFile } from '#pkg/component/worker/layout.ts'
import { readPemPair } from '#pkg/component/worker/pem-file.ts'
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
      balancer = new LoadBalancer(
        { listenHost: '127.0.0.1', listenPort: apiServerBindPort },
        {
          log,
          probe: (address, { onLost }) =>
            new ReadinessProbe({ address, credentials: () => credentialsOf(context), onLost }),
        },
      )
      balancer.setBackends(backends(context))
      await balancer.start()
      unfollow = context.config.follow(() => balancer?.setBackends(backends(context)))
    },
    ready: async () => {
      if (balancer === undefined) throw new Error('not started')
      await Promise.resolve()
    },
    get warnings() {
      return balancer?.status().backends.flatMap(warning) ?? []
    },
    stop: async () => {
      unfollow?.()
      await balancer?.stop()
      balancer = undefined
    },
  }
}

/** The worker process asks with a certificate of its own; before it has one, who connects finds out. */
async function credentialsOf({ options, deps }: WorkerContext): Promise<ProbeCredentials | undefined> {
  const pair = await readPemPair(identityPemFile(options.vars, 'worker'))
  return pair && { caPem: deps.credentials.caPem, certPem: pair.certPem, keyPem: pair.keyPem }
}

function warning({ address, health, reason = '' }: BackendStatus): readonly string[] {
  switch (health) {
    case 'new':
    case 'ready':
      return []
    case 'unready':
      return [`${address} is not ready: ${reason}`]
    case 'closed':
    case 'silent':
      return [`${address} does not answer: ${reason}`]
  }
}

function backends({ config, options }: WorkerContext): readonly { readonly host: string; readonly port: number }[] {
  const { apiServerAddresses } = config.get()
  return (apiServerAddresses.length > 0 ? apiServerAddresses : options.apiServers).map(splitHostPort)
}
