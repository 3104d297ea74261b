import assert from 'node:assert/strict'
import { testImage } from '#inttest/common/images.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Container } from '#inttest/install/container.ts'

/** Liveness only: a whole control plane starts, on two cores. */
const READY_TIMEOUT_MS = 180_000

/** Waits for `k0s status --wait-ready`; a failure shows what the service printed. */
export async function untilReady(host: Container): Promise<void> {
  const { code, stderr } = await host.k0s(['status', '--wait-ready', '--timeout', '180s'], { timeoutMs: 200_000 })
  if (code !== 0) throw new Error(`${host.name}: ${stderr}\n${(await host.log()).slice(-6_000)}`)
}

/** Parsed `kubectl get … -o json` on a controller. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- tests look at a few fields of any kind of object
export async function get(controller: Container, args: readonly string[]): Promise<any> {
  return JSON.parse(await controller.mustK0s(['kubectl', 'get', ...args, '-o', 'json'])) as unknown
}

/** Waits until the node reports Ready from this boot of its host. */
export async function untilNodeReady(controller: Container, node: Container): Promise<void> {
  const bootId = (await node.must(['cat', '/proc/sys/kernel/random/boot_id'])).trim()
  await eventually(`node ${node.name} is Ready`, READY_TIMEOUT_MS, async () => {
    const { status } = await get(controller, ['node', node.name])
    const ready = status.conditions.find(({ type }: { type: string }) => type === 'Ready')
    assert.equal(ready?.status, 'True', ready?.message)
    assert.equal(status.nodeInfo.bootID, bootId)
  })
}

/** Starts a pod that stays, on `node`. */
export async function startPod(controller: Container, node: Container, name: string): Promise<void> {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      nodeName: node.name,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: 'main', image: testImage('tools'), command: ['sleep', '100000'] }],
    },
  }
  await controller.mustK0s(['kubectl', 'apply', '-f', '-'], { input: JSON.stringify(pod) })
  await eventually(`pod ${name} runs`, READY_TIMEOUT_MS, async () => {
    const { status } = await get(controller, ['pod', name])
    assert.equal(status.containerStatuses?.[0]?.ready, true, JSON.stringify(status.conditions))
  })
}

/** What identifies the process of the pod on its node: unchanged means that it went on. */
export async function podProcess(node: Container): Promise<string> {
  const ticks = await node.must([
    'sh',
    '-c',
    `for pid in $(pgrep -f '^sleep 100000'); do cut -d' ' -f1,22 /proc/$pid/stat; done`,
  ])
  assert.match(ticks.trim(), /^\d+ \d+$/, 'one process of the pod')
  return ticks.trim()
}

/** Process id of the role, as its status says. */
export async function rolePid(host: Container): Promise<number> {
  return (JSON.parse(await host.mustK0s(['status', '-o', 'json'])) as { readonly Pid: number }).Pid
}

/** Process id of the controller's tunnel server; there are two while one hands over to the next. */
export async function tunnelServer(controller: Container): Promise<number> {
  const pids = (await controller.must(['pgrep', '-u', 'konnectivity-server'])).trim().split('\n')
  assert.equal(pids.length, 1, `tunnel servers: ${pids.join(', ')}`)
  return Number(pids[0])
}

/** Reloads the service of a controller: another tunnel server, the same controller. */
export async function reload(controller: Container, command: readonly string[]): Promise<void> {
  const [role, former] = [await rolePid(controller), await tunnelServer(controller)]
  await controller.must(command)
  await eventually('a new tunnel server has taken over', READY_TIMEOUT_MS, async () =>
    assert.notEqual(await tunnelServer(controller), former),
  )
  assert.equal(await rolePid(controller), role)
}

/** Waits until the role runs again in another process than `former`. */
export async function untilRestarted(host: Container, former: number): Promise<void> {
  await eventually(`${host.name} has started its role again`, READY_TIMEOUT_MS, async () =>
    assert.notEqual(await rolePid(host), former),
  )
}

/** Holds the product to one line of error and exit code 1. */
export async function refused(host: Container, args: readonly string[], expected: RegExp): Promise<void> {
  const { code, stdout, stderr } = await host.k0s(args)
  assert.match(stderr, /^Error: [^\n]+\n$/, `${args.join(' ')}: ${stdout}`)
  assert.match(stderr, expected)
  assert.equal(code, 1)
}
