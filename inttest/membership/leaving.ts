import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'

/** `k0s etcd leave` on the host itself; its controller stops by itself then, and says why. */
export async function leave(host: Host): Promise<void> {
  const { code, stderr } = await host.k0s(['etcd', 'leave'])
  assert.equal(code, 0, stderr)
  await stopsByItself(host)
}

/** The controller of a host that is no member any more ends, with the reason. */
export async function stopsByItself(host: Host): Promise<void> {
  await eventually(`${host.name} stops by itself`, 90_000, async () => {
    assert.notEqual((await host.k0s(['status'])).code, 0)
  })
  await eventually('it says why', 10_000, async () => {
    const log = await readFile(join(host.dir, 'k0s.log'), 'utf8')
    assert.match(log, /has been removed from the members of etcd; "k0s reset"/)
  })
}

/** `k0s stop`, until nothing of the product runs. */
export async function stop(host: Host): Promise<void> {
  const { code, stderr } = await host.k0s(['stop'])
  assert.equal(code, 0, stderr)
  await eventually(`everything on ${host.name} has ended`, 60_000, async () => {
    const left = (await host.processes()).map(({ name }) => name).filter((name) => name !== 'sleep')
    assert.deepEqual(left, [])
  })
}

/** `k0s reset`; resolves with what it said. */
export async function reset(host: Host): Promise<string> {
  const { code, stdout, stderr } = await host.k0s(['reset'], { timeoutMs: 180_000 })
  assert.equal(code, 0, stderr)
  assert.equal((await host.must(['find', '/var/lib/k0s', '-mindepth', '1'])).trim(), '')
  return `${stdout}${stderr}`
}
