import assert from 'node:assert/strict'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { Disk, fill } from '#inttest/common/disk.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { run } from '#inttest/common/run.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { etcdLeader, makeEtcdLeader } from '#inttest/ha/etcd-leader.ts'
import { MachineClock } from '#inttest/ha/machine-clock.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { LossyLink } from '#inttest/ha/packet-loss.ts'
import { heals, logged, saysWhatItHas } from '#inttest/ha/sick-controller.ts'
import { limitWrites } from '#inttest/ha/slow-disk.ts'
import { inSeconds, startWitness, survives, writesGoOn } from '#inttest/ha/surviving.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** A fault that heals by itself does so after this. */
const FAULT_MS = 20_000
const DISK_MIB = 1024
/** Of a disk that takes a second or so for what is to be written at once. */
const WRITES_PER_SECOND = 5
const LOSS_PERCENT = 15
const STEP_SECONDS = 60
const LOSES_PACKETS = /^Warning: host-watch: the network loses packets: \d+ % of what this host sends/m
const DATA = '/var/lib/k0s'

describe('three controllers, one of which is sick, under fifty writes a second', () => {
  const cluster: Cluster = newCluster('ha-faults', { controllers: 3, workers: 2 })
  const writer = new LoopbackWriter(cluster, cluster.worker)
  /** Has its data on a disk of its own. */
  const onDisk = cluster.controllers[2]!
  let disk: Disk

  before(async function () {
    this.timeout(600_000)
    await run(['umount', '--lazy', onDisk.diskPath(DATA)]) // of a run that was killed
    await cluster.down()
    await mkdir(onDisk.dir, { recursive: true })
    disk = await Disk.make(join(onDisk.dir, 'disk.img'), { mib: DISK_MIB, path: onDisk.diskPath(DATA) })
    await cluster.up()
    await startWitness(cluster)
    await writer.start()
  })
  after(() => writer.stop())
  keepLogsOfFailures(cluster, 'ha-faults')
  after(async () => {
    await onDisk.powerOff()
    await (disk as Disk | undefined)?.[Symbol.asyncDispose]()
    await cluster.down()
  })

  const othersOf = (host: Host): readonly Host[] => cluster.controllers.filter((other) => other !== host)

  it('serve without the leader of etcd when a partition isolates it', async () => {
    const host = await etcdLeader(cluster)
    const beganMs = monotonicMs()
    await cluster.network.unplug(host.address)
    try {
      await survives(cluster, writer, { host, beganMs, what: 'partition' })
      const names = othersOf(host).map(({ name }) => name)
      const reason = `etcd has no leader: it does not reach ${names.join(', ')}`
      await saysWhatItHas(host, new RegExp(`^Components: .*etcd: ${reason}`))
      await eventually('its log says so', 60_000, async () => {
        for (const name of names) {
          const line = new RegExp(`level=warn msg="it does not reach ${name}" component=etcd`)
          assert.equal((await logged(host, line)).length, 1, name)
        }
      })
      const { code, stderr } = await host.k0s(['kubectl', 'get', '--raw', '/readyz', '--request-timeout=5s'])
      assert.notEqual(code, 0)
      console.log(`      its /readyz: ${[...stderr.matchAll(/\[-\][^\\]*/g)].join('; ')}`)
      await sleep(Math.max(0, FAULT_MS - (monotonicMs() - beganMs)))
    } finally {
      await cluster.network.plug(host.address)
    }
    await heals(cluster, monotonicMs())
  }).timeout(600_000)

  it('serve while the leader of etcd has a slow disk, which says so', async () => {
    await makeEtcdLeader(cluster, onDisk)
    const beganMs = monotonicMs()
    await limitWrites(disk, WRITES_PER_SECOND, cluster.names.prefix)
    try {
      await survives(cluster, writer, { host: onDisk, beganMs, what: 'slow disk' })
      await saysWhatItHas(onDisk, /^Warning: etcd: its disk is slow: a write takes \d+ ms on average/)
      console.log(`      no write for ${inSeconds(await writer.longestGapMs(beganMs))} at most until then`)
      await eventually('another member of etcd leads', 60_000, async () => {
        assert.notEqual(await etcdLeader(cluster), onDisk)
      })
      const handedOver = await logged(onDisk, /another member leads, since the disk of this one is slow/)
      console.log(`      another member leads: ${handedOver.length === 0 ? 'elected' : 'handed over'}`)
    } finally {
      await limitWrites(disk, 0, cluster.names.prefix)
    }
    await heals(cluster, monotonicMs())
  }).timeout(600_000)

  it('serve while one has a full disk, which says so, and takes part again with space', async () => {
    const ballast = join(disk.path, 'ballast')
    await fill(ballast)
    const beganMs = monotonicMs()
    try {
      await survives(cluster, writer, { host: onDisk, beganMs, what: 'full disk' })
      await saysWhatItHas(onDisk, /^Warning: host-watch: the disk of \/var\/lib\/k0s is full: free some space/)
      await saysWhatItHas(
        onDisk,
        /^Components: .*etcd: [^;]*; its process ended \(exit code 1: [^{}]*no space left on device/,
      )
      console.log(`      no write for ${inSeconds(await writer.longestGapMs(beganMs))} at most until then`)
    } finally {
      await rm(ballast)
    }
    await heals(cluster, monotonicMs())
  }).timeout(600_000)

  for (const [what, hosts] of [
    ['one', [cluster.controller]],
    ['every', cluster.controllers],
  ] as const) {
    it(`serve while ${what} controller's link loses ${String(LOSS_PERCENT)} % of all packets each way`, async () => {
      const beganMs = monotonicMs()
      const before = (await writer.acknowledged()).length
      const links = await Promise.all(
        hosts.map(({ address }) => LossyLink.make(cluster.network.outerLink(address), LOSS_PERCENT)),
      )
      try {
        // Of what goes from one controller to another 28 % are lost otherwise, and TCP may stand still for longer than the fault lasts.
        if (what === 'one') await survives(cluster, writer, { host: hosts[0], beganMs, what: 'packet loss' })
        await saysWhatItHas(hosts[0], LOSES_PACKETS)
        await sleep(Math.max(0, FAULT_MS - (monotonicMs() - beganMs)))
        const gapMs = await writer.longestGapMs(beganMs)
        const written = (await writer.acknowledged()).length - before
        const seconds = (monotonicMs() - beganMs) / 1_000
        console.log(`      ${(written / seconds).toFixed(0)} writes a second, none for ${inSeconds(gapMs)} at most`)
      } finally {
        const lost: number[] = []
        for (const link of links) lost.push(await link.mend())
        console.log(`      lost packets: ${lost.join(', ')}`)
      }
      await writesGoOn(writer)
      await heals(cluster, monotonicMs())
      await eventually('nobody warns of it any more', 120_000, async () => {
        for (const host of hosts) assert.doesNotMatch((await host.k0s(['status'])).stdout, LOSES_PACKETS)
      })
    }).timeout(600_000)
  }

  // It is the clock of everything else on this machine, too.
  if (process.env['K0S_STEP_CLOCK'] === '1') {
    for (const step of [STEP_SECONDS, -STEP_SECONDS]) {
      it(`serve while the clock is ${String(step)} s off, and after it`, async () => {
        const clock = new MachineClock()
        const beganMs = monotonicMs()
        try {
          await clock.set(step)
          const way = step > 0 ? 'forward' : 'back'
          const said = new RegExp(`^Warning: host-watch: the clock of this host was set ${way} by (59|60)\\.\\d s`)
          for (const host of cluster.controllers) await saysWhatItHas(host, said)
          await survives(cluster, writer, { host: cluster.controller, beganMs, what: `a clock ${String(step)} s off` })
        } finally {
          await clock.set(0)
        }
        const backMs = monotonicMs()
        await survives(cluster, writer, { host: cluster.controller, beganMs: backMs, what: 'a clock set right' })
        await heals(cluster, backMs)
      }).timeout(600_000)
    }
  }

  it('lose no acknowledged write', () => writer.verify())
})
