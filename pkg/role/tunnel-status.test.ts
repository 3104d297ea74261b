import assert from 'node:assert/strict'
import type { ServerStatus } from '#konnectivity/server/status.ts'
import { SharedClient } from '#pkg/kubernetes/shared-client.ts'
import { withoutFormer, workerPeers, workersOfTunnel } from '#pkg/role/tunnel-status.ts'

const since = '2026-11-21T14:00:00.000Z'
const agent = {
  agentId: 'worker-1',
  node: 'worker-1',
  remote: '10.0.0.21',
  since,
  flow: 'streams',
  rttMs: 0.5,
  pendingDials: 0,
  draining: false,
  openConnections: 2,
  bytesToEndpoints: 10,
  bytesFromEndpoints: 20,
} as const
const loss = { agentId: 'x', at: since, reason: 'read ECONNRESET', drained: false, count: 3 } as const

describe('the tunnel in the status of a controller', () => {
  it('has connected agents with their last loss, and those that are lost, by name', () => {
    const peers = workerPeers({
      serverId: 'controller-0',
      startedAt: since,
      openConnections: 2,
      agents: [agent, { ...agent, node: undefined, agentId: 'by-token', draining: true }],
      losses: [
        { ...loss, node: 'worker-0' },
        { ...loss, node: 'worker-1', count: 1 },
      ],
    })
    assert.deepEqual(
      peers.map(({ name, state, losses, lastError }) => [name, state, losses, lastError]),
      [
        ['by-token', 'draining', 0, undefined],
        ['worker-0', 'lost', 3, 'read ECONNRESET'],
        ['worker-1', 'connected', 1, 'read ECONNRESET'],
      ],
    )
  })

  it('leaves out lost workers that are no longer in the cluster', () => {
    const status: ServerStatus = {
      serverId: undefined,
      startedAt: since,
      openConnections: 0,
      agents: [{ ...agent, node: 'not-yet-a-node' }],
      losses: [
        { ...loss, node: 'worker-0' },
        { ...loss, node: 'removed' },
        { ...loss, node: undefined, agentId: 'by-token' },
      ],
    }
    const names = workerPeers(withoutFormer(status, new Set(['worker-0']))).map(({ name }) => name)
    assert.deepEqual(names, ['by-token', 'not-yet-a-node', 'worker-0'])
  })

  it('says when the tunnel server does not answer', async () => {
    const client = new SharedClient({ kubeconfig: '/nonexistent' })
    assert.match((await workersOfTunnel(1, client)).Error ?? '', /connection refused/)
  })
})
