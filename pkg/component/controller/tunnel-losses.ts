import type { ServerStatus } from '#konnectivity/server/status.ts'

/** Something to tell about the tunnel to a node. */
export interface TunnelNews {
  readonly node: string
  readonly reason: 'TunnelLost' | 'TunnelRestored'
  readonly message: string
}

/** After a start of the tunnel server its agents have this long to come: they reconnect within 2 s. */
const RECONNECT_MS = 10_000
/** News of a node at once, and how long until there may be another: a flapping link shall not fill the event store. */
const BURST = 4
const REFILL_MS = 60_000

interface NodeTunnel {
  told: 'connected' | 'lost'
  /** Losses that were told or need not be. */
  losses: number
  tokens: number
  refilledAt: number
}

/**
 * Compares what the tunnel server says with what was told before. A node that was never seen connected is not lost. News that
 * the rate does not allow are not queued: what is true when it allows some is told then.
 */
export class TunnelLosses {
  readonly #controller: string
  readonly #nodes = new Map<string, NodeTunnel>()
  #serverStartedAt: string | undefined
  #reconnectUntil = 0

  /** @param controller name of the controller whose tunnel server it is */
  constructor(controller: string) {
    this.#controller = controller
  }

  /** What is new in `status`, at `now` (milliseconds of any monotonic clock). */
  observe(status: ServerStatus, now: number): readonly TunnelNews[] {
    if (status.startedAt !== this.#serverStartedAt) this.#onServerStart(status.startedAt, now)
    const connected = new Set(status.agents.flatMap(({ node }) => node ?? []))
    const losses = new Map(status.losses.flatMap((loss) => (loss.node === undefined ? [] : [[loss.node, loss]])))
    for (const node of connected) {
      if (!this.#nodes.has(node)) {
        const seen = losses.get(node)?.count ?? 0
        this.#nodes.set(node, { told: 'connected', losses: seen, tokens: BURST, refilledAt: now })
      }
    }
    return [...this.#nodes].flatMap(([node, tunnel]) => {
      const loss = losses.get(node)
      const news = connected.has(node)
        ? this.#back(node, tunnel, loss)
        : now < this.#reconnectUntil
          ? undefined
          : this.#gone(node, tunnel, loss)
      return news !== undefined && takeToken(tunnel, now) ? [this.#tell(tunnel, news, loss?.count)] : []
    })
  }

  #onServerStart(startedAt: string, now: number): void {
    if (this.#serverStartedAt !== undefined) this.#reconnectUntil = now + RECONNECT_MS
    this.#serverStartedAt = startedAt
    for (const tunnel of this.#nodes.values()) tunnel.losses = 0
  }

  #gone(node: string, { told }: NodeTunnel, loss: Loss | undefined): TunnelNews | undefined {
    if (told === 'lost') return undefined
    const why = loss === undefined ? 'it did not come back after the tunnel server restarted' : loss.reason
    const message = `${this.#controller} lost the tunnel to this node: ${why}; until it is back, logs, exec, webhooks and metrics may not reach it`
    return { node, reason: 'TunnelLost', message }
  }

  #back(node: string, tunnel: NodeTunnel, loss: Loss | undefined): TunnelNews | undefined {
    const missed = (loss?.count ?? 0) - tunnel.losses
    // One that said before that it stops, and is there again, was restarted.
    if (tunnel.told === 'connected' && (missed <= 0 || loss?.drained === true)) return undefined
    const times = missed > 1 ? `, after it was lost ${missed} times` : ''
    const why = loss === undefined ? '' : `; the last loss: ${loss.reason}`
    return {
      node,
      reason: 'TunnelRestored',
      message: `${this.#controller} has a tunnel to this node again${times}${why}`,
    }
  }

  #tell(tunnel: NodeTunnel, news: TunnelNews, losses = 0): TunnelNews {
    tunnel.told = news.reason === 'TunnelLost' ? 'lost' : 'connected'
    if (news.reason === 'TunnelRestored') tunnel.losses = losses
    return news
  }
}

type Loss = ServerStatus['losses'][number]

function takeToken(tunnel: NodeTunnel, now: number): boolean {
  const refill = Math.floor((now - tunnel.refilledAt) / REFILL_MS)
  if (refill > 0) {
    tunnel.tokens = Math.min(BURST, tunnel.tokens + refill)
    tunnel.refilledAt += refill * REFILL_MS
  }
  if (tunnel.tokens === 0) return false
  tunnel.tokens -= 1
  return true
}
