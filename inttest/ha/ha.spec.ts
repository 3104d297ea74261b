import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { theProcess } from '#inttest/common/faults.ts'
import { keepLogsOfFailures, newCluster } from '#inttest/common/shared-cluster.ts'
import { monotonicMs } from '#inttest/ha/monotonic.ts'
import { logged } from '#inttest/ha/sick-controller.ts'
import { apiServerServes, memberNames } from '#inttest/ha/serving.ts'
import { killAndReturn, startWitness, survives } from '#inttest/ha/surviving.ts'
import { LoopbackWriter } from '#inttest/ha/writer.ts'
import { stopsByItself } from '#inttest/membership/leaving.ts'

/** `make check-ha`: every controller, killed and powered off; without it one of each kind, for `make test`. */
const isLong = process.env['K0S_HA_LONG'] === '1'

describe('three controllers and two workers', () => {
  const cluster: Cluster = newCluster('ha', { controllers: 3, workers: 2 })
  const [first, second, third] = cluster.controllers as readonly [Host, Host, Host]

  before(async function () {
    this.timeout(600_000)
    await cluster.down()
    await cluster.up()
  })
  keepLogsOfFailures(cluster, 'ha')
  after(() => cluster.down())

  const roles = async (at: Host): Promise<string> => (await at.k0s(['etcd', 'member-list', '-o', 'table'])).stdout
  const names = cluster.controllers.map(({ name }) => name)
  const addresses = cluster.controllers.map(({ address }) => `${address}:6443`).sort()
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- a few fields of any kind
  const json = async (at: Host, args: readonly string[]): Promise<any> => {
    const { stdout, stderr, code } = await at.k0s(['kubectl', 'get', ...args, '-o', 'json', '--request-timeout=5s'])
    assert.equal(code, 0, stderr)
    return JSON.parse(stdout)
  }

  it('are members of etcd that vote, in the eyes of each', async () => {
    for (const host of cluster.controllers) {
      assert.deepEqual(await memberNames(host), names)
      assert.ok(!(await roles(host)).includes('learner'))
    }
  })

  it('show the workers as nodes, and only them', async () => {
    for (const host of cluster.controllers) {
      const { items } = await json(host, ['nodes'])
      assert.deepEqual(
        items.map(({ metadata }: { metadata: { name: string } }) => metadata.name).sort(),
        cluster.workers.map(({ name }) => name),
      )
    }
  })

  it('share their authority and the keys of service accounts', async () => {
    const files = ['ca.crt', 'ca.key', 'sa.key', 'sa.pub', 'etcd/ca.crt']
    for (const file of files) {
      const texts = await Promise.all(cluster.controllers.map((host) => host.must(['cat', `/var/lib/k0s/pki/${file}`])))
      assert.equal(new Set(texts).size, 1, file)
    }
  })

  it('run the join API as a user that can read nothing of theirs', async () => {
    for (const host of cluster.controllers) {
      const found = (await host.processes()).filter(({ argv }) => argv.at(-1) === 'api')
      assert.equal(found.length, 1)
      const status = await host.must(['cat', `/proc/${String(found[0]!.hostPid)}/status`])
      const uid = /^Uid:\t(\d+)/m.exec(status)?.[1]
      assert.equal((await host.must(['id', '-u', 'k0s-api'])).trim(), uid)
    }
  })

  it('are known to the workers, also on their disks', async () => {
    await eventually('the workers know all controllers', 30_000, async () => {
      for (const worker of cluster.workers) {
        const remembered = JSON.parse(await worker.must(['cat', '/var/lib/k0s/worker-config.json'])) as {
          config: { apiServerAddresses: readonly string[] }
        }
        assert.deepEqual(remembered.config.apiServerAddresses, addresses)
      }
    })
  })

  it('are the endpoints of the kubernetes Service', async () => {
    await eventually('three endpoints', 30_000, async () => {
      const slice = await json(first, ['endpointslice', 'kubernetes'])
      const ips = slice.endpoints.flatMap(({ addresses: list }: { addresses: string[] }) => list).sort()
      assert.deepEqual(ips, cluster.controllers.map(({ address }) => address).sort())
    })
  })

  it('let nobody join with a token that is wrong, cut, invalidated, expired or of a worker', async () => {
    const ca = await first.must(['cat', '/var/lib/k0s/pki/ca.crt'])
    const ask = async (bearer: string): Promise<number | undefined> => {
      const url = `https://${first.address}:9443/v1beta1/ca`
      const request = https.request(url, { ca, agent: false, headers: { authorization: `Bearer ${bearer}` } })
      request.end()
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      let text = ''
      for await (const chunk of response) text += String(chunk)
      if (response.statusCode !== 200) assert.equal(text, 'go away\n')
      return response.statusCode
    }
    const bearerOf = (token: string): string => {
      const kubeconfig = gunzipSync(Buffer.from(token.trim(), 'base64')).toString()
      return /token: (\S+)/.exec(kubeconfig)?.[1] ?? ''
    }
    const good = bearerOf(await cluster.token('controller'))
    assert.equal(await ask(good), 200)
    assert.equal(await ask(good.slice(0, -1)), 401)
    assert.equal(await ask(`${good.slice(0, 7)}${'x'.repeat(16)}`), 401)
    assert.equal(await ask(bearerOf(await cluster.token('worker'))), 401)
    await first.k0s(['token', 'invalidate', good.slice(0, 6)])
    assert.equal(await ask(good), 401)
    const { stdout: shortLived } = await first.k0s(['token', 'create', '--role=controller', '--expiry=1s'])
    await eventually('it expires', 30_000, async () => assert.equal(await ask(bearerOf(shortLived)), 401))
    // The API is a process of its own: its line reaches the controller's log after its answer has reached us.
    const reasons = ['wrong secret for token', 'is not for a controller', 'there is no token']
    const log = await eventually('each refusal in the log', 10_000, async () => {
      const text = await readFile(join(first.dir, 'k0s.log'), 'utf8')
      assert.deepEqual(
        reasons.filter((reason) => !text.includes(reason)),
        [],
      )
      return text
    })
    assert.ok(!log.includes(good))
  })

  it('lead one at a time', async () => {
    await eventually('the holder of the lease leads, and nobody else', 60_000, async () => {
      const lease = await json(second, ['lease', '-n', 'kube-system', 'k0s-leader'])
      const leading: string[] = []
      for (const host of cluster.controllers) {
        const [begun, ended] = [
          await logged(host, /this controller leads/),
          await logged(host, /does not lead any more/),
        ]
        if (begun.length > ended.length) leading.push(host.name)
      }
      assert.deepEqual(leading, [lease.spec.holderIdentity])
    })
  })

  describe('under fifty writes a second through the loopback address of a worker', () => {
    let writer: LoopbackWriter

    before(async () => {
      await startWitness(cluster)
      writer = new LoopbackWriter(cluster, cluster.worker)
      await writer.start()
    })
    after(() => writer.stop())

    const healthyAgain = async (host: Host): Promise<void> => {
      await eventually('etcd is whole again', 120_000, async () => {
        for (const other of cluster.controllers) assert.deepEqual(await memberNames(other), names)
        await apiServerServes(host)
      })
    }

    const kills = [0, 1, 2].flatMap((i) => [[i, 'kill -9'] as const, [i, 'power-off'] as const])
    for (const [index, how] of isLong ? kills : kills.slice(1, 2)) {
      it(`survive a ${how} of controller-${String(index)}`, async () => {
        const host = cluster.controllers[index]!
        await killAndReturn(cluster, writer, { host, how })
        await healthyAgain(host)
      }).timeout(600_000)
    }

    for (const index of isLong ? [0, 1, 2] : [1]) {
      it(`survive an etcd that hangs on controller-${String(index)}: its API server steps aside`, async () => {
        const host = cluster.controllers[index]!
        const etcd = await theProcess(host, 'etcd')
        const beganMs = monotonicMs()
        process.kill(etcd.pid, 'SIGSTOP')
        try {
          await eventually('its API server is gone', 60_000, async () => {
            const found = (await host.processes()).filter(({ name }) => name === 'kube-apiserver')
            assert.deepEqual(found, [])
          })
          await survives(cluster, writer, { host, beganMs, what: 'a stopped etcd' })
        } finally {
          process.kill(etcd.pid, 'SIGCONT')
        }
        await healthyAgain(host)
      }).timeout(600_000)
    }

    it('lose no acknowledged write', () => writer.verify())
  })

  if (!isLong) return

  describe('one of which is gone', () => {
    it('let a worker start while the controller that it joined with is gone', async () => {
      const [, worker] = cluster.workers as [Host, Host]
      await first.powerOff()
      await worker.powerOff()
      await worker.boot()
      await cluster.restart(worker)
      await eventually('the worker is Ready', 120_000, async () => {
        const node = await json(second, ['node', worker.name])
        const ready = node.status.conditions.find(({ type }: { type: string }) => type === 'Ready')
        assert.equal(ready.status, 'True')
      })
      await first.boot()
      await cluster.restart(first)
    }).timeout(600_000)

    it('let one go and come back: lease and addresses go with it', async () => {
      const { code, stderr } = await third.k0s(['etcd', 'leave'])
      assert.equal(code, 0, stderr)
      assert.deepEqual(await memberNames(first), names.slice(0, 2))
      await stopsByItself(third)
      await eventually('its lease and its address are gone', 120_000, async () => {
        const { items } = await json(first, ['leases', '-n', 'kube-node-lease'])
        const leases = items.map(({ metadata }: { metadata: { name: string } }) => metadata.name)
        assert.ok(!leases.includes(`k0s-ctrl-${third.name}`))
        const remembered = JSON.parse(await cluster.worker.must(['cat', '/var/lib/k0s/worker-config.json'])) as {
          config: { apiServerAddresses: readonly string[] }
        }
        assert.ok(!remembered.config.apiServerAddresses.includes(`${third.address}:6443`))
      })
      const reset = await third.k0s(['reset'])
      assert.equal(reset.code, 0, reset.stderr)
      await cluster.joinController(third, second)
      assert.deepEqual(await memberNames(first), names)
    }).timeout(600_000)
  })
})
