import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { eventually } from '#inttest/common/eventually.ts'
import { theProcess } from '#inttest/common/faults.ts'
import type { Host } from '#inttest/common/host.ts'
import { namesOf } from '#inttest/common/names.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import {
  connectionsOf,
  giveCredentials,
  Session,
  sessionAt,
  type PlacedSession,
} from '#inttest/ha/balanced-sessions.ts'
import { inSeconds, startWitness } from '#inttest/ha/surviving.ts'
import { saysWhatItHas } from '#inttest/ha/sick-controller.ts'

const NAME = 'ha-nllb'
/** Nothing answers there but the first controller. */
const EXTERNAL = `${namesOf(`test-${NAME}`).subnet}.100`
const WATCH = ['get', 'configmaps', '-n', 'default', '--watch', '-o', 'name']
const EXEC = ['exec', 'witness', '--', 'sh', '-c', 'while :; do echo here; sleep 0.2; done']

describe('the load balancer of a worker that joined through spec.api.externalAddress', () => {
  const cluster = newCluster(NAME, {
    controllers: 3,
    workers: 1,
    config: JSON.stringify({ spec: { api: { externalAddress: EXTERNAL } } }),
  })
  const [first, second, third] = cluster.controllers as readonly [Host, Host, Host]
  const { worker } = cluster
  const placed: PlacedSession[] = []

  before(async function () {
    this.timeout(600_000)
    await cluster.down()
    await cluster.network.create()
    for (const host of [...cluster.controllers, worker]) await host.boot()
    await first.must(['ip', 'address', 'add', `${EXTERNAL}/24`, 'dev', 'eth0'])
    await cluster.startController()
    await cluster.joinController(second)
    await cluster.join(worker)
    await cluster.untilNodesReady([worker.name])
    await startWitness(cluster)
    await giveCredentials(cluster, worker)
  })
  after(async () => {
    for (const { session } of placed) await session.stop()
  })
  keepLogsOfFailures(cluster, NAME)
  after(() => cluster.down())

  const addresses = async (): Promise<readonly string[]> => {
    const text = await worker.must(['cat', '/var/lib/k0s/worker-config.json'])
    return (JSON.parse(text) as { config: { apiServerAddresses: readonly string[] } }).config.apiServerAddresses
  }
  /** When the worker's log last had such a line, milliseconds of the machine's clock. */
  const loggedAt = async (wanted: RegExp, { after: afterMs = 0 } = {}): Promise<number> => {
    const lines = (await readFile(join(worker.dir, 'k0s.log'), 'utf8')).split('\n')
    const found = lines.findLast((each) => wanted.test(each))
    assert.ok(found !== undefined, `${String(wanted)} is not in the worker's log`)
    const at = Date.parse(/time=(\S+)/.exec(found)?.[1] ?? '')
    assert.ok(at >= afterMs, `${String(wanted)} is in the worker's log from before only`)
    return at
  }
  const line = (message: string, { address }: Host): RegExp =>
    new RegExp(`${message}.*${address.replaceAll('.', '\\.')}:6443`)
  /** One request from the worker over a connection of its own: the answer, if it got one, and how long that took. */
  const request = async (): Promise<{ text: string; tookMs: number }> => {
    const beganAt = Date.now()
    const session = await Session.start(worker, ['get', '--raw', '/readyz'])
    await eventually('a new connection is answered', 30_000, () => {
      assert.ok(session.hasEnded)
      return Promise.resolve()
    })
    return { text: session.text, tookMs: Date.now() - beganAt }
  }
  /** Requests without a pause until the worker's log says that a controller is not used any more. */
  const dropped = async (controller: Host, sinceMs: number): Promise<{ droppedAt: number; slowestMs: number }> => {
    let slowestMs = 0
    const droppedAt = await eventually('it is dropped', 30_000, async () => {
      slowestMs = Math.max(slowestMs, (await request()).tookMs)
      return await loggedAt(line('backend does not answer', controller), { after: sinceMs })
    })
    return { droppedAt, slowestMs }
  }
  /** The session goes on over the connection that it began with. */
  const goesOn = async ({ session, controller, port }: PlacedSession): Promise<void> => {
    const { length } = session.text
    await second.k0s(['kubectl', 'create', 'configmap', `seen-${String(Date.now())}`, '-n', 'default'])
    await eventually('it prints what happens now', 30_000, () => {
      assert.ok(session.text.length > length, `nothing new after ${session.text.slice(-80)}`)
      return Promise.resolve()
    })
    assert.ok(!session.hasEnded)
    assert.ok((await connectionsOf(controller, worker)).has(port), `its connection to ${controller.name} is another`)
  }

  it('has the controllers, whose addresses are their own', async () => {
    const token = gunzipSync(Buffer.from((await cluster.token('worker')).trim(), 'base64')).toString()
    assert.ok(token.includes(`https://${EXTERNAL}:6443`))
    await eventually('both are known', 30_000, async () => {
      assert.deepEqual(await addresses(), [`${first.address}:6443`, `${second.address}:6443`])
    })
  })

  it('picks up a new controller and keeps the connections to the others', async () => {
    for (const [controller, args] of [
      [first, WATCH],
      [second, WATCH],
      [second, EXEC],
    ] as const) {
      placed.push(await sessionAt({ worker, controller }, args))
    }
    await cluster.joinController(third)
    const { spec } = await cluster.get(['lease', '-n', 'kube-node-lease', `k0s-ctrl-${third.name}`])
    const pickedUpAt = await eventually('it is picked up', 30_000, () =>
      loggedAt(line('worker configuration changed', third)),
    )
    const tookMs = pickedUpAt - Date.parse(spec.acquireTime as string)
    console.log(`      picked up ${inSeconds(tookMs)} after it said that it is there`)
    const fresh = await sessionAt({ worker, controller: third }, WATCH)
    await fresh.session.stop()
    for (const each of placed) await goesOn(each)
  }).timeout(300_000)

  it('leaves an API server that stands still to itself, keeps the connections to the others, and comes back', async () => {
    const stuck = await sessionAt({ worker, controller: third }, WATCH)
    const { pid } = await theProcess(third, 'kube-apiserver')
    const stoppedAt = Date.now()
    process.kill(pid, 'SIGSTOP')
    try {
      const { droppedAt, slowestMs } = await dropped(third, stoppedAt)
      const slowest = `the slowest new request took ${inSeconds(slowestMs)}`
      console.log(`      dropped ${inSeconds(droppedAt - stoppedAt)} after SIGSTOP; ${slowest}`)
      await eventually('whoever waited for it is told', 30_000, () => {
        assert.ok(stuck.session.hasEnded)
        return Promise.resolve()
      })
      console.log(`      its watch ended ${inSeconds(Date.now() - stoppedAt)} after SIGSTOP`)
      for (let i = 0; i < 6; i += 1) assert.equal((await request()).text, 'ok')
      for (const each of placed) await goesOn(each)
    } finally {
      process.kill(pid, 'SIGCONT')
      await stuck.session.stop()
    }
    const goesOnAt = Date.now()
    const backAt = await eventually('it is used again', 30_000, () =>
      loggedAt(line('backend is ready', third), { after: goesOnAt }),
    )
    console.log(`      ready again ${inSeconds(backAt - goesOnAt)} after SIGCONT`)
    const fresh = await sessionAt({ worker, controller: third }, WATCH)
    await fresh.session.stop()
  }).timeout(300_000)

  it('drops a dead controller, the external address with it, and keeps the connections to the others', async () => {
    const beganAt = Date.now()
    await first.powerOff()
    const goneAt = Date.now()
    const { droppedAt, slowestMs } = await dropped(first, beganAt)
    const slowest = `the slowest new request took ${inSeconds(slowestMs)}`
    const after = `${inSeconds(droppedAt - beganAt)} after its power-off began (which took ${inSeconds(goneAt - beganAt)})`
    console.log(`      dropped ${after}; ${slowest}`)
    for (const each of placed.slice(1)) await goesOn(each)
    await eventually('whoever was there is told', 30_000, () => {
      assert.ok(placed[0]?.session.hasEnded)
      return Promise.resolve()
    })
    await saysWhatItHas(worker, new RegExp(`^Warning: nllb: ${first.address}:6443 does not answer: `))
  }).timeout(300_000)

  it('lets the worker start while the address that it joined through is gone', async () => {
    await worker.powerOff()
    await worker.boot()
    await cluster.restart(worker)
    await eventually('the worker is Ready', 60_000, async () => {
      const { stdout } = await second.k0s(['kubectl', 'get', 'node', worker.name, '--no-headers'])
      assert.match(stdout, / Ready /)
    })
  }).timeout(300_000)
})
