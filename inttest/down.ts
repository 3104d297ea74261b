import { rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Cluster } from '#inttest/common/cluster.ts'
import { upOptions } from '#inttest/common/up-options.ts'

/** `make down`: ends the hosts of `make up` with everything in them. Safe to repeat. */
async function main(): Promise<void> {
  const { instance, dir, kubeconfig } = upOptions(process.argv.slice(2))
  await new Cluster({ instance, dir, workers: 1 }).down()
  await rm(kubeconfig, { force: true })
  await rmdir(dirname(dir)).catch(() => undefined) // another instance may be there
  console.log('The cluster is down: no process, mount, namespace, interface or cgroup of it is left.')
}

await main()
