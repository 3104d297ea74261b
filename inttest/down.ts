import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Cluster } from '#inttest/common/cluster.ts'
import { checkout } from '#inttest/common/names.ts'

/** `make down`: ends the hosts of `make up` with everything in them. Safe to repeat. */
async function main(): Promise<void> {
  const cluster = new Cluster({ instance: 'up', dir: join(checkout, '.cluster', 'up'), workers: 1 })
  await cluster.down()
  await rm(join(checkout, 'build', 'kubeconfig'), { force: true })
  await rm(join(checkout, '.cluster'), { recursive: true, force: true })
  console.log('The cluster is down: no process, mount, namespace, interface or cgroup of it is left.')
}

await main()
