/** How an agent was lost, and how often since the server started. */
export interface AgentLoss {
  readonly agentId: string
  readonly node: string | undefined
  /** ISO 8601, of the last time. */
  readonly at: string
  readonly reason: string
  /** It had said before that it stops. */
  readonly drained: boolean
  readonly count: number
}

/** Agents that are remembered after they were lost; names are bounded by the nodes that a cluster ever had. */
const MAX_REMEMBERED = 2_000

/** The agents that lost their connection since the server started, by what names them. */
export class LostAgents {
  readonly #losses = new Map<string, AgentLoss>()

  /** A session of an agent ended. */
  note(
    { agentId, nodeName }: { readonly agentId: string; readonly nodeName: string | undefined },
    { drained, error }: { readonly drained: boolean; readonly error: Error | undefined },
  ): void {
    const key = nodeName ?? agentId
    const count = (this.#losses.get(key)?.count ?? 0) + 1
    this.#losses.delete(key) // the newest is last
    const reason = error?.message ?? (drained ? 'the agent stopped' : 'the agent closed the connection')
    this.#losses.set(key, { agentId, node: nodeName, at: new Date().toISOString(), reason, drained, count })
    const [oldest] = this.#losses.keys()
    if (this.#losses.size > MAX_REMEMBERED && oldest !== undefined) this.#losses.delete(oldest)
  }

  /** All of them, the newest last. */
  list(): readonly AgentLoss[] {
    return [...this.#losses.values()]
  }
}
