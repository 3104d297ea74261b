import type { Component, StartContext } from '#pkg/component/component.ts'
import { KonnectivityAgent } from '#konnectivity/agent/agent.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { splitHostPort } from '#pkg/component/worker/host-port.ts'
import { identityPemFile } from '#pkg/component/worker/layout.ts'
import { nodeIp } from '#pkg/component/worker/node-ip.ts'
import { readPemPair } from '#pkg/component/worker/pem-file.ts'
import type { WorkerCertificates } from '#pkg/component/worker/worker-certificates.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'

/** The controllers' way back to this node: one connection to the tunnel server of each. */
export function tunnelAgent(context: WorkerContext, certificates: WorkerCertificates): Component {
  const ends: (() => void)[] = []
  let agent: KonnectivityAgent | undefined
  /** One replacement after the other; stop() waits for the last. */
  let last: Promise<void> = Promise.resolve()
  return {
    name: 'konnectivity-agent',
    after: ['worker-certificates', 'worker-config', ...context.options.startAfter.api],
    start: async (start) => {
      agent = await startAgent(context, start)
      ends.push(context.config.follow(() => agent?.setServers(tunnelServers(context))))
      // The new certificate goes into a new agent before the old one ends: the node is never without a tunnel.
      const replace = async (): Promise<void> => {
        const old = agent
        agent = await startAgent(context, start)
        await old?.stop()
      }
      ends.push(
        certificates.onRenewed((identity) => {
          if (identity !== 'tunnelAgent') return
          last = last
            .then(replace)
            .catch((err: unknown) => start.log.warn('tunnel agent not renewed', { err: errorMessage(err) }))
        }),
      )
    },
    ready: async () => {
      const connected = agent?.status().filter((server) => server.connected).length ?? 0
      if (connected === 0)
        throw new Error(
          `no connection to a tunnel server (${tunnelServers(context)
            .map(({ host, port }) => `${host}:${port}`)
            .join(', ')})`,
        )
      await Promise.resolve()
    },
    stop: async () => {
      for (const end of ends.splice(0)) end()
      await last
      await agent?.stop()
      agent = undefined
    },
  }
}

async function startAgent(context: WorkerContext, { log }: StartContext): Promise<KonnectivityAgent> {
  const pair = await readPemPair(identityPemFile(context.options.vars, 'tunnelAgent'))
  if (pair === undefined) throw new Error('the certificate of the tunnel agent is missing')
  const agent = new KonnectivityAgent(
    {
      nodeName: context.options.nodeName,
      identifiers: { ipv4: [await nodeIp(context)], host: [context.options.nodeName] },
      tls: { caPem: context.deps.credentials.caPem, certPem: pair.certPem, keyPem: pair.keyPem },
    },
    { log },
  )
  agent.setServers(tunnelServers(context))
  agent.start()
  return agent
}

/** The tunnel server of each controller, beside its API server. */
function tunnelServers({ config }: WorkerContext): readonly { readonly host: string; readonly port: number }[] {
  const { apiServerAddresses, konnectivity } = config.get()
  return apiServerAddresses.map((address) => ({ host: splitHostPort(address).host, port: konnectivity.agentPort }))
}
