import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Cluster } from '#inttest/common/cluster.ts'
import { ConfigMapChurn } from '#inttest/common/config-map-churn.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { theProcess } from '#inttest/common/faults.ts'
import { startPods } from '#inttest/common/pods.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import { store, storeOptions } from '#inttest/common/store.ts'

const API_SERVER = 'kube-apiserver'
/** Makes the API server end itself when its watch cache is not what the store holds (k8s.io/apiserver, cacher/delegator.go). */
const CHECKER = 'KUBE_WATCHCACHE_CONSISTENCY_CHECKER'
/** Each resource is compared 5 to 7.5 minutes after the start, and then again and again. */
const CHECKED_WITHIN_MS = 9 * 60_000
const READY_WITHIN_MS = 120_000
const WRITES_PER_SECOND = 10
/** Resources that certainly have a cache, and that change all the time here. */
const BUSY = ['configmaps', 'pods', 'leases', 'nodes', 'endpointslices', 'replicasets'] as const
const LOOK_EVERY_MS = 10_000

/** Not part of `make test`: the check takes minutes. `make check-consistency`, on kine with SQLite or on K0S_TEST_STORE. */
describe('the watch caches of an API server on kine', function () {
  this.timeout(CHECKED_WITHIN_MS + 5 * 60_000)
  let cluster: Cluster

  before(async () => {
    const onKine = store === 'etcd' ? { config: 'spec:\n  storage:\n    type: kine\n' } : storeOptions()
    cluster = newCluster('consistency', { workers: 1, ...onKine })
    await cluster.down()
    await cluster.up()
    await checkConsistency(cluster)
  })

  after(async () => {
    await cluster.down()
  })

  it('are what the store holds, under writes of every kind', async () => {
    const before = await theProcess(cluster.controller, API_SERVER)
    const environment = (await readFile(`/proc/${String(before.pid)}/environ`, 'utf8')).split('\0')
    assert.ok(environment.includes(`${CHECKER}=true`))
    await startPods(cluster, [{ name: 'shell' }])
    await cluster.mustKubectl(['create', 'deployment', 'turns', '--image=none.invalid/none'])
    await using churn = await ConfigMapChurn.start(cluster, WRITES_PER_SECOND)
    let round = 0
    const checks = await eventually('every resource is compared', CHECKED_WITHIN_MS, async () => {
      round += 1
      await cluster.mustKubectl(['scale', 'deployment', 'turns', `--replicas=${String(round % 4)}`])
      await sleep(LOOK_EVERY_MS)
      const counted = await consistencyChecks(cluster)
      const missing = BUSY.filter(
        (resource) => !counted.some((check) => check.resource === resource && check.status === 'success'),
      )
      assert.deepEqual(missing, [])
      return counted
    })
    const bad = checks.filter(({ status }) => status === 'failure')
    assert.deepEqual(bad, [])
    const compared = checks.filter(({ status }) => status === 'success')
    console.log(`      ${String(compared.length)} resources compared, ${String(churn.writes)} writes`)
    assert.deepEqual(await theProcess(cluster.controller, API_SERVER), before, 'it has not ended itself')
    const { written, seen } = await churn.finish()
    assert.deepEqual(seen, written)
  })
})

/**
 * Gives the API server the variable: the product passes none on, so that what is started in its place is a script. It has
 * the size and time of the program, by which a staged file counts as the right one.
 */
async function checkConsistency(cluster: Cluster): Promise<void> {
  const { controller } = cluster
  const [staged, folder] = [`/var/lib/k0s/bin/${API_SERVER}`, '/var/lib/k0s/checker']
  const script = `#!/bin/sh\nexport ${CHECKER}=true\nexec ${folder}/${API_SERVER} "$@"\n`
  await controller.must(['sh', '-c', `mkdir -p ${folder} && chmod 755 ${folder} && cp ${staged} ${folder}/`])
  await controller.write(`${folder}/script`, script)
  const steps = [
    `chmod 755 ${folder}/script`,
    `truncate --size=$(stat -c %s ${staged}) ${folder}/script`,
    `touch --reference=${staged} ${folder}/script`,
    `mv ${folder}/script ${staged}`,
  ]
  await controller.must(['sh', '-c', steps.join(' && ')])
  const before = await theProcess(controller, API_SERVER)
  process.kill(before.pid, 'SIGKILL')
  await eventually('the API server is ready again', READY_WITHIN_MS, async () => {
    assert.notEqual((await theProcess(controller, API_SERVER)).pid, before.pid)
    await cluster.mustKubectl(['get', '--raw', '/readyz', '--request-timeout=5s'])
  })
}

interface ConsistencyCheck {
  readonly resource: string
  readonly status: string
}

/** What the API server says of its own checks. */
async function consistencyChecks(cluster: Cluster): Promise<readonly ConsistencyCheck[]> {
  const metrics = await cluster.mustKubectl(['get', '--raw', '/metrics'])
  const lines = metrics.split('\n').filter((line) => line.startsWith('apiserver_storage_consistency_checks_total{'))
  return lines.map((line) => {
    const label = (name: string): string => new RegExp(`${name}="([^"]*)"`).exec(line)?.[1] ?? ''
    return { resource: label('resource'), status: label('status') }
  })
}
