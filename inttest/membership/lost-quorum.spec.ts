import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import type { Finished } from '#inttest/common/run.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { inSeconds } from '#inttest/ha/surviving.ts'
import { membersAt, untilAgreed } from '#inttest/membership/agreed.ts'
import { reset, stop } from '#inttest/membership/leaving.ts'

/** `--api-server-stop-timeout` is a minute, which requests that etcd will not answer would take whole. */
const STOP_WITHIN_MS = 20_000

describe('the last of three controllers, two of which are lost', function () {
  this.bail(true) // each step begins with what the one before left
  const cluster: Cluster = newCluster('lost-quorum', { controllers: 3, workers: 0 })
  const [first, second, third] = cluster.controllers as readonly [Host, Host, Host]
  const left: Promise<Finished>[] = []

  before(async function () {
    this.timeout(300_000)
    await cluster.down()
    await cluster.up()
  })
  keepLogsOfFailures(cluster, 'lost-quorum')
  after(() => cluster.down())

  it('stops soon: its API server does not wait for answers of an etcd without a quorum, and says so', async () => {
    await Promise.all([first.powerOff(), second.powerOff()])
    await eventually('etcd has no leader', 60_000, async () => {
      assert.match((await third.k0s(['status', 'components'])).stdout, /etcd +not-ready/)
    })
    // Requests in flight, besides those that the controllers' own parts have.
    const write = (name: string): Promise<Finished> => third.k0s(['kubectl', 'create', 'configmap', name])
    left.push(...['a', 'b', 'c'].map(write))
    const beganMs = performance.now()
    const { code, stderr } = await third.k0s(['stop'])
    const tookMs = performance.now() - beganMs
    console.log(`      stopped after ${inSeconds(tookMs)}`)
    assert.equal(code, 0, stderr)
    assert.match(await log(third), /not waiting.*the store does not answer/i)
    assert.ok(tookMs < STOP_WITHIN_MS, `stopped after ${inSeconds(tookMs)}`)
    assert.deepEqual(
      (await third.processes()).map(({ name }) => name).filter((name) => name !== 'sleep' && name !== 'k0s'),
      [],
    )
  })

  it('is reset: it cannot leave etcd, and says in one line what to do', async () => {
    for (const { code } of await Promise.all(left)) assert.notEqual(code, 0)
    assert.match(await resetAsMember(third), /no other member of etcd answers/)
  })

  it('is removed by what that line says, once the others are back, and joins as a new host', async () => {
    for (const host of [first, second]) await host.boot()
    await Promise.all([cluster.restart(first), cluster.restart(second)])
    assert.equal((await membersAt(first)).length, 3)
    await removeLost(first)
    await cluster.joinController(third)
    await untilAgreed(cluster, [first, second, third])
  }).timeout(300_000)

  it('is reset while etcd refuses to let it go, as one of the two that stay is lost', async () => {
    cluster.ask(second)
    await first.powerOff()
    await stop(third)
    assert.match(await resetAsMember(third), /etcdserver: /)
    await first.boot()
    await cluster.restart(first)
    assert.equal((await membersAt(second)).length, 3)
    await removeLost(second)
  }).timeout(300_000)

  const removeLost = async (by: Host): Promise<void> => {
    const { code, stderr } = await by.k0s(['etcd', 'leave', '--peer-address', third.address])
    assert.equal(code, 0, stderr)
    await untilAgreed(cluster, [first, second])
  }
})

/** `k0s reset` of a host that stays a member; the line that says so. */
async function resetAsMember(host: Host): Promise<string> {
  const said = await reset(host)
  const lines = said.split('\n').filter((line) => line.includes('may still be a member of etcd'))
  assert.equal(lines.length, 1, said)
  assert.match(lines[0] ?? '', new RegExp(`k0s etcd leave --peer-address ${host.address.replaceAll('.', '\\.')}\\b`))
  return lines[0] ?? ''
}

async function log(host: Host): Promise<string> {
  return readFile(join(host.dir, 'k0s.log'), 'utf8')
}
