import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { fetchFrom, podIP, SERVE, startPods } from '#inttest/common/pods.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

const NAMESPACE = 'policy'
const BLOCKED_AFTER_S = 2

describe('the pod network and NetworkPolicy, across two workers', () => {
  let cluster: Cluster
  /** The server is on the first worker; one client beside it, two on the other worker. */
  const clients = ['near', 'far', 'friend'] as const
  let url: string

  before(async () => {
    cluster = await sharedCluster('isolated')
    const [first, second] = cluster.workers.map(({ name }) => name)
    await cluster.mustKubectl(['create', 'namespace', NAMESPACE])
    await startPods(cluster, [
      { name: 'server', namespace: NAMESPACE, node: first!, command: SERVE },
      { name: 'near', namespace: NAMESPACE, node: first! },
      { name: 'far', namespace: NAMESPACE, node: second! },
      { name: 'friend', namespace: NAMESPACE, node: second!, labels: { friend: 'yes' } },
    ])
    url = `http://${await podIP(cluster, 'server', NAMESPACE)}:8080/`
  })

  after(async () => {
    await cluster.mustKubectl(['delete', 'namespace', NAMESPACE, '--wait=false'])
  })

  const fetchAs = (client: string): Promise<string> =>
    fetchFrom(cluster, client, url, { namespace: NAMESPACE, seconds: BLOCKED_AFTER_S })

  const untilReaches = (client: string): Promise<void> =>
    eventually(`${client} reaches the server`, 30_000, async () => {
      assert.equal(await fetchAs(client), 'server')
    })

  /** A policy takes a moment to reach the node; then it has to hold every time. */
  const untilBlocked = async (client: string): Promise<void> => {
    await eventually(`${client} is blocked`, 30_000, () => assert.rejects(fetchAs(client)))
    for (let i = 0; i < 3; i += 1) await assert.rejects(fetchAs(client), `${client} got through a policy`)
  }

  it('joins pods on one worker and on different workers', async () => {
    for (const client of clients) await untilReaches(client)
  })

  it('gives the pod its own source address across workers', async () => {
    const [far, server] = [await podIP(cluster, 'far', NAMESPACE), await podIP(cluster, 'server', NAMESPACE)]
    assert.notEqual(far.split('.').slice(0, 3).join('.'), server.split('.').slice(0, 3).join('.'), 'one subnet a node')
  })

  it('blocks everything under a default-deny policy, on the same worker and across', async () => {
    await cluster.apply(policy('default-deny', '{}', ''))
    for (const client of clients) await untilBlocked(client)
  })

  it('admits what an allow rule names, across workers, and nothing else', async () => {
    await cluster.apply(policy('allow-friend', '{ matchLabels: { app: server } }', FROM_FRIEND))
    await untilReaches('friend')
    await untilBlocked('far')
    await untilBlocked('near')
  })

  it('opens again when the policies are gone', async () => {
    await cluster.mustKubectl(['delete', 'networkpolicy', '--all', '-n', NAMESPACE])
    for (const client of clients) await untilReaches(client)
  })
})

const FROM_FRIEND = `
  ingress:
    - from: [{ podSelector: { matchLabels: { friend: 'yes' } } }]
      ports: [{ port: 8080 }]`

function policy(name: string, podSelector: string, ingress: string): string {
  return `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: ${name}, namespace: ${NAMESPACE} }
spec:
  podSelector: ${podSelector}
  policyTypes: [Ingress]${ingress}
`
}
