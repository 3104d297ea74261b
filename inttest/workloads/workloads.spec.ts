import assert from 'node:assert/strict'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { testImage } from '#inttest/common/images.ts'
import { fetchFrom, podIP, SERVE, startPods } from '#inttest/common/pods.ts'
import { sharedCluster } from '#inttest/common/shared-cluster.ts'

describe('workloads', () => {
  let cluster: Cluster

  before(async () => {
    cluster = await sharedCluster('isolated')
    await startPods(cluster, [{ name: 'web', command: SERVE }, { name: 'shell' }])
    await cluster.mustKubectl(['expose', 'pod', 'web', '--port=80', '--target-port=8080'])
  })

  after(async () => {
    await cluster.mustKubectl(['delete', 'pod/web', 'pod/shell', 'service/web', '--wait=false'])
  })

  it('reach another pod', async () => {
    assert.equal(await fetchFrom(cluster, 'shell', `http://${await podIP(cluster, 'web')}:8080/`), 'web')
  })

  it('reach a Service by its address', async () => {
    const service = await cluster.get(['service', 'web'])
    const url = `http://${String(service.spec.clusterIP)}/`
    await eventually('the Service answers', 30_000, async () =>
      assert.equal(await fetchFrom(cluster, 'shell', url), 'web'),
    )
  })

  it('reach a Service by its DNS names', async () => {
    for (const name of ['web', 'web.default', 'web.default.svc.cluster.local']) {
      await eventually(`http://${name}/ answers`, 60_000, async () =>
        assert.equal(await fetchFrom(cluster, 'shell', `http://${name}/`), 'web'),
      )
    }
  })

  it('reach the API server through the kubernetes Service', async () => {
    const answer = await cluster.exec('shell', ['sh', '-c', 'echo | nc -w 3 kubernetes.default 443 && echo open'])
    assert.match(answer, /open/)
  })

  it('keep the logs of a container that was restarted', async () => {
    await cluster.apply(JSON.stringify(restartingPod()))
    await eventually('the container was restarted', 60_000, async () => {
      const pod = await cluster.get(['pod', 'restarting'])
      assert.ok(pod.status.containerStatuses[0].restartCount >= 1)
    })
    assert.match(await cluster.mustKubectl(['logs', 'restarting', '--previous']), /^life 1/)
    await eventually('the new container logs', 30_000, async () =>
      assert.match(await cluster.mustKubectl(['logs', 'restarting']), /^life 2/),
    )
    await cluster.mustKubectl(['delete', 'pod', 'restarting', '--wait=false'])
  })

  it('come as a Deployment of 30 pods', async () => {
    const began = Date.now()
    await cluster.mustKubectl([
      'create',
      'deployment',
      'thirty',
      `--image=${testImage('agnhost')}`,
      '--replicas=30',
      '--',
      '/agnhost',
      'pause',
    ])
    await cluster.mustKubectl(['rollout', 'status', 'deployment/thirty', '--timeout=180s'], { timeoutMs: 200_000 })
    console.log(`      30 pods Ready after ${((Date.now() - began) / 1000).toFixed(1)} s`)
    await cluster.mustKubectl(['delete', 'deployment', 'thirty', '--wait=true'])
  })
})

/** Ends with an error in its first life and stays in its second; counts its lives in a volume. */
function restartingPod(): object {
  const command = [
    'sh',
    '-c',
    'echo >>/lives/count; echo life $(wc -l </lives/count); [ $(wc -l </lives/count) -gt 1 ] && sleep 3600; exit 1',
  ]
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'restarting', namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 1,
      containers: [
        { name: 'main', image: testImage('tools'), command, volumeMounts: [{ name: 'lives', mountPath: '/lives' }] },
      ],
      volumes: [{ name: 'lives', emptyDir: {} }],
    },
  }
}
