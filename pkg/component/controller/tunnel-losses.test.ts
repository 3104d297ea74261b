import assert from 'node:assert/strict'
import { eventOf } from '#pkg/component/controller/tunnel-events.ts'
import { TunnelLosses } from '#pkg/component/controller/tunnel-losses.ts'
import type { ServerStatus } from '#konnectivity/server/status.ts'

const SECOND = 1_000
const MINUTE = 60 * SECOND

/** A status with these nodes connected and these losses of worker-0. */
function status(
  connected: readonly string[],
  losses = 0,
  more: { drained?: boolean; startedAt?: string } = {},
): ServerStatus {
  const { drained = false, startedAt = 'first' } = more
  const at = '2026-11-21T14:00:00.000Z'
  const loss = { agentId: 'worker-0', node: 'worker-0', at, reason: 'no answer to a ping', drained, count: losses }
  return {
    serverId: 'controller-0',
    startedAt,
    openConnections: 0,
    losses: losses === 0 ? [] : [loss],
    agents: connected.map((node) => ({
      agentId: node,
      node,
      remote: '10.0.0.20',
      since: at,
      flow: 'streams',
      rttMs: 1,
      pendingDials: 0,
      draining: false,
      openConnections: 0,
      bytesToEndpoints: 0,
      bytesFromEndpoints: 0,
    })),
  }
}

describe('TunnelLosses', () => {
  let losses: TunnelLosses
  beforeEach(() => (losses = new TunnelLosses('controller-0')))
  const reasons = (seen: ServerStatus, now: number): readonly string[] =>
    losses.observe(seen, now).map(({ node, reason }) => `${node} ${reason}`)

  it('tells a loss once, and the return once', () => {
    assert.deepEqual(reasons(status(['worker-0', 'worker-1']), 0), [])
    assert.deepEqual(reasons(status(['worker-1'], 1), 5 * SECOND), ['worker-0 TunnelLost'])
    assert.deepEqual(reasons(status(['worker-1'], 1), 10 * SECOND), [])
    assert.deepEqual(reasons(status(['worker-0', 'worker-1'], 1), 15 * SECOND), ['worker-0 TunnelRestored'])
    assert.deepEqual(reasons(status(['worker-0', 'worker-1'], 1), 20 * SECOND), [])
  })

  it('does not take a node that it has never seen connected for lost', () => {
    assert.deepEqual(reasons(status([], 1), 0), [])
  })

  it('tells a loss that was over before anybody looked, unless the agent was restarted in good order', () => {
    losses.observe(status(['worker-0']), 0)
    assert.deepEqual(reasons(status(['worker-0'], 1, { drained: true }), 5 * SECOND), [])
    const [news] = losses.observe(status(['worker-0'], 3), 10 * SECOND)
    assert.equal(news?.reason, 'TunnelRestored')
    assert.equal(
      news.message,
      'controller-0 has a tunnel to this node again, after it was lost 3 times; the last loss: no answer to a ping',
    )
  })

  it('gives agents time to come back after the tunnel server restarted', () => {
    losses.observe(status(['worker-0', 'worker-1']), 0)
    const restarted = { startedAt: 'second' }
    assert.deepEqual(reasons(status([], 0, restarted), 5 * SECOND), [])
    assert.deepEqual(reasons(status(['worker-1'], 0, restarted), 10 * SECOND), [])
    assert.deepEqual(reasons(status(['worker-1'], 0, restarted), 16 * SECOND), ['worker-0 TunnelLost'])
  })

  it('limits the news of a link that flaps, and then tells how it is', () => {
    losses.observe(status(['worker-0']), 0)
    const told: string[] = []
    for (let i = 1; i <= 20; i += 1) {
      told.push(...reasons(status([], i), i * 2 * SECOND))
      told.push(...reasons(status(['worker-0'], i), i * 2 * SECOND + SECOND))
    }
    assert.equal(told.length, 4)
    told.length = 0
    told.push(...reasons(status([], 21), 2 * MINUTE), ...reasons(status([], 21), 3 * MINUTE))
    assert.deepEqual(told, ['worker-0 TunnelLost'])
  })
})

describe('eventOf', () => {
  it('is an Event about the Node as the kubelet writes them', () => {
    const news = { node: 'worker-0', reason: 'TunnelLost', message: 'gone' } as const
    assert.deepEqual(eventOf(news, 'controller-0', new Date('2026-11-21T14:00:00.500Z')), {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'worker-0.tunnel-controller-0-1a1fe6824f4', namespace: 'default' },
      involvedObject: { apiVersion: 'v1', kind: 'Node', name: 'worker-0', uid: 'worker-0' },
      reason: 'TunnelLost',
      message: 'gone',
      type: 'Warning',
      source: { component: 'k0s-tunnel', host: 'controller-0' },
      firstTimestamp: '2026-11-21T14:00:00Z',
      lastTimestamp: '2026-11-21T14:00:00Z',
      count: 1,
    })
  })
})
