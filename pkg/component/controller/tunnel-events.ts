import { Background } from '#pkg/component/cluster/background.ts'
import type { Component, StartContext } from '#pkg/component/component.ts'
import { TunnelLosses, type TunnelNews } from '#pkg/component/controller/tunnel-losses.ts'
import { readTunnelStatus } from '#pkg/component/controller/tunnel-server-status.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { inNamespace, resources } from '#pkg/kubernetes/resources.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { kubeTime } from '#pkg/kubernetes/time.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Options of the component. */
export interface TunnelEventsOptions {
  /** Name of this controller. */
  readonly nodeName: string
  /** Where its tunnel server answers, on loopback. */
  readonly adminPort: number
}

/** A loss is told within this and the ten seconds in which a silent one is noticed; asking takes about 1 ms. */
const POLL_MS = 5_000
const ANSWER_WITHIN_MS = 2_000
/** An API server that cannot be written to for longer loses the news: they are about the past then. */
const WRITE_WITHIN_MS = 10_000

/** Tells about lost and restored tunnels as Events on the Nodes. */
export class TunnelEvents implements Component {
  readonly name = 'tunnel-events'
  readonly after = ['kube-apiserver', 'konnectivity-server']
  readonly #options: TunnelEventsOptions
  readonly #client: ClientSource
  readonly #background = new Background()

  constructor(options: TunnelEventsOptions, deps: { readonly client: ClientSource }) {
    this.#options = options
    this.#client = deps.client
  }

  start({ log }: StartContext): Promise<void> {
    const losses = new TunnelLosses(this.#options.nodeName)
    this.#background.begin(async (signal) => {
      for (;;) {
        await this.#look(losses, signal, log)
        await sleep(POLL_MS, { signal })
      }
    })
    return Promise.resolve()
  }

  /** Whether agents are there is no condition of this controller. */
  ready(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }

  async #look(losses: TunnelLosses, stop: AbortSignal, log: Logger): Promise<void> {
    try {
      const status = await readTunnelStatus(this.#options.adminPort, AbortSignal.timeout(ANSWER_WITHIN_MS))
      stop.throwIfAborted()
      for (const news of losses.observe(status, performance.now())) {
        log.info(news.reason === 'TunnelLost' ? 'tunnel lost' : 'tunnel restored', { node: news.node })
        const client = await this.#client.get()
        const event = eventOf(news, this.#options.nodeName, new Date())
        await client.create(inNamespace(resources.events, 'default'), event, {
          signal: AbortSignal.timeout(WRITE_WITHIN_MS),
        })
      }
    } catch (err) {
      stop.throwIfAborted()
      // The server's own component says when it does not run.
      log.debug('tunnels not looked at', { err: errorMessage(err) })
    }
  }
}

/** The Event of a piece of news, in the namespace in which those about Nodes are. Pure. */
export function eventOf({ node, reason, message }: TunnelNews, controller: string, at: Date): KubeObject {
  const timestamp = kubeTime(at)
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${node}.tunnel-${controller}-${at.getTime().toString(16)}`, namespace: 'default' },
    // As the kubelet names its node: the uid is the name, so that `kubectl describe node` finds both.
    involvedObject: { apiVersion: 'v1', kind: 'Node', name: node, uid: node },
    reason,
    message,
    type: reason === 'TunnelLost' ? 'Warning' : 'Normal',
    source: { component: 'k0s-tunnel', host: controller },
    firstTimestamp: timestamp,
    lastTimestamp: timestamp,
    count: 1,
  }
}
