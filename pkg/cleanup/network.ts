import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import type { ResetContext, ResetStep } from '#pkg/cleanup/step.ts'

/** Interfaces that flannel and Calico's CNI plugin make. */
const ourInterfaces = /^(cali[0-9a-f]{11}|flannel[.]\d+|flannel-v6[.]\d+|kube-ipvs0)$/

/**
 * Pairs of interfaces go together, and with the namespace of their pod: what was listed may be gone when `ip` looks for it, or when the
 * kernel is asked to delete it.
 */
const ALREADY_GONE = /Cannot find device|No such device/

/** Removes interfaces of pods and of the overlay, and with them their routes. */
export const removeInterfaces: ResetStep = {
  name: 'interfaces',
  run: async (context) => {
    const names = interfaceNames(await readFile(join(context.root, 'proc/self/net/dev'), 'utf8')).filter((name) =>
      ourInterfaces.test(name),
    )
    const removed: string[] = []
    const problems: string[] = []
    for (const name of names) {
      try {
        const done = await context.run('ip', ['link', 'delete', name])
        if (done === undefined) problems.push(`interface ${name} is left: the program ip is not installed`)
        else removed.push(name)
      } catch (err) {
        if (!ALREADY_GONE.test(errorMessage(err))) problems.push(`interface ${name} is left: ${errorMessage(err)}`)
      }
    }
    const routes = await removeRoutes(context)
    return { removed: [...removed, ...routes.removed], problems: [...problems, ...routes.problems] }
  },
}

/** Names from /proc/net/dev. */
export function interfaceNames(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => /^\s*([^:\s]+):/.exec(line)?.[1] ?? [])
}

/** flannel's host-gw routes carry no mark; those of Felix have protocol 80 or 3 and go with the interfaces. */
async function removeRoutes({ run, vars }: ResetContext): ReturnType<ResetStep['run']> {
  const podCidrs = await rememberedPodCidrs(join(vars.dataDir, 'worker-config.json'))
  const removed: string[] = []
  const problems: string[] = []
  for (const cidr of podCidrs) {
    const family = cidr.includes(':') ? '-6' : '-4'
    // Fails where the kernel has no IPv6: then there is no route either.
    const listed = await run('ip', [family, 'route', 'show', 'root', cidr]).catch(() => undefined)
    for (const line of (listed ?? '').split('\n')) {
      const route = line.trim()
      if (route === '') continue
      try {
        await run('ip', [family, 'route', 'delete', ...route.split(/\s+/)])
        removed.push(`route ${route}`)
      } catch (err) {
        // It went with its interface since it was listed.
        if (!/No such process/.test(errorMessage(err))) problems.push(`route ${route} is left: ${errorMessage(err)}`)
      }
    }
  }
  return { removed, problems }
}

async function rememberedPodCidrs(file: string): Promise<readonly string[]> {
  try {
    const { config } = JSON.parse(await readFile(file, 'utf8')) as { config: { network: { podCIDR: string } } }
    return config.network.podCIDR.split(',')
  } catch {
    return [] // no worker ran here, or its data is gone already
  }
}
