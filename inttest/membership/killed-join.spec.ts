import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { k0sExecutable } from '#inttest/common/names.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { killAll } from '#inttest/ha/surviving.ts'
import { membersAt, untilAgreed } from '#inttest/membership/agreed.ts'

const JOIN = ['controller', '--token-file', '/etc/k0s/token']

/** Steps of a join in their order, and how each shows: in the log from the last start on, or on the disk. */
const points = [
  { at: 'before the authorities came', file: 'join.json' },
  { at: 'with the authorities', says: 'authorities of the cluster received' },
  { at: 'added as learner, before etcd has a log', says: 'this host is a member of etcd, to catch up' },
  { at: 'with the log of etcd', file: 'etcd/member/wal/0000000000000000-0000000000000000.wal' },
  { at: 'promoted', says: 'this member of etcd votes' },
] as const

describe('a controller that is killed while it joins', function () {
  this.bail(true) // each step begins with what the one before left
  const cluster: Cluster = newCluster('killed-join', { controllers: 2, workers: 0 })
  const [first, second] = cluster.controllers as readonly [Host, Host]

  before(async function () {
    this.timeout(300_000)
    await cluster.down()
    await cluster.network.create()
    for (const host of cluster.controllers) await host.boot()
    await cluster.startController()
    await second.write('/etc/k0s/token', await cluster.token('controller'))
  })
  keepLogsOfFailures(cluster, 'killed-join')
  after(() => cluster.down())

  const log = (): Promise<string> => readFile(join(second.dir, 'k0s.log'), 'utf8').catch(() => '')

  for (const point of points) {
    it(`is killed ${point.at}, and the cluster goes on`, async () => {
      const length = (await log()).length
      await second.spawn([k0sExecutable, ...JOIN], 'k0s')
      await eventually(`it is ${point.at}`, 60_000, async () => {
        if ('file' in point) await readFile(second.diskPath(`/var/lib/k0s/${point.file}`))
        // It is quick: it may have been promoted at the kill before.
        else assert.ok((await log()).slice(point.at === 'promoted' ? 0 : length).includes(point.says))
      })
      await killAll(second)
      // It goes on while it is looked at: one that voted already cannot be spared by the first.
      if (/this member of etcd votes|has not heard of its promotion/.test((await log()).slice(length))) return
      await eventually('the API serves', 30_000, async () => {
        const { code, stderr } = await first.k0s(['kubectl', 'get', '--raw', '/readyz'])
        assert.equal(code, 0, stderr)
      })
      const strangers = (await membersAt(first)).filter((member) => member !== `${first.name} voter`)
      assert.ok(strangers.length <= 1, strangers.join(', '))
    })
  }

  it('joins when the same command runs again, and no other member is there', async () => {
    await cluster.start(second, JOIN)
    await untilAgreed(cluster, cluster.controllers)
  })
})
