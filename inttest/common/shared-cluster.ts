import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Cluster, type ClusterOptions } from '#inttest/common/cluster.ts'
import { checkout, namesOf } from '#inttest/common/names.ts'
import { storeOptions } from '#inttest/common/store.ts'

type Shape = Pick<ClusterOptions, 'workers' | 'controllers' | 'controllerArgs' | 'config' | 'database'>

/** The shapes that specs share; a spec that breaks its cluster makes one of its own with `newCluster`. */
const shapes = {
  /** An isolated controller, on etcd unless the run says otherwise, and two workers. */
  isolated: { workers: 2, ...storeOptions() },
  /** One host that is everything, on kine with SQLite. */
  single: { workers: 0, controllerArgs: ['--single'] },
} satisfies Readonly<Record<string, Shape>>

const started = new Map<string, { readonly cluster: Cluster; readonly up: Promise<void> }>()

/** The running cluster of a shape; the first caller starts it. */
export async function sharedCluster(shape: keyof typeof shapes): Promise<Cluster> {
  let entry = started.get(shape)
  if (!entry) {
    const cluster = newCluster(shape, shapes[shape])
    // What an aborted run left under the same names is ended first.
    entry = { cluster, up: cluster.down().then(() => cluster.up()) }
    started.set(shape, entry)
  }
  await entry.up
  return entry.cluster
}

/** A cluster for one spec alone; the spec calls down(). */
export function newCluster(name: string, shape: Shape): Cluster {
  const instance = `test-${name}`
  const dir = join(tmpdir(), `${namesOf(instance).prefix}-${name}`)
  return new Cluster({ instance, dir, ...shape, progress: (line) => console.log(`    ${name}: ${line}`) })
}

/** Keeps the logs of a spec's cluster, after its tests, when one of them failed. Called in a `describe`, before the hook that ends it. */
export function keepLogsOfFailures(cluster: Cluster, name: string): void {
  let failed = false
  afterEach(function () {
    failed ||= this.currentTest?.state === 'failed'
  })
  after(async () => {
    if (failed) await cluster.saveLogs(join(testLogs, name))
  })
}

/** Where the logs of ended clusters are put, for whoever reads a failed test. */
export const testLogs = join(checkout, 'build', 'test-logs')

/** Ends a shared cluster before the others, so that the machine is free for what follows. */
export async function endShared(shape: keyof typeof shapes): Promise<void> {
  const cluster = started.get(shape)?.cluster
  started.delete(shape)
  if (!cluster) return
  await cluster.saveLogs(join(testLogs, shape))
  await cluster.down()
}

/** Ends every shared cluster. */
export async function endAllShared(): Promise<void> {
  for (const shape of Object.keys(shapes) as (keyof typeof shapes)[]) await endShared(shape)
}
