import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import { theProcess } from '#inttest/common/faults.ts'
import type { Host } from '#inttest/common/host.ts'
import { startPods } from '#inttest/common/pods.ts'
import { must } from '#inttest/common/run.ts'
import { newCluster } from '#inttest/common/shared-cluster.ts'
import {
  agentArgs,
  agentPort,
  agentProgram,
  egressSelector,
  frontends,
  serverArgs,
  serverProgram,
  tunnelClient,
} from '#inttest/konnectivity/programs.ts'
import type { Frontend } from '#inttest/konnectivity/programs.ts'
import { Running, TunnelServer } from '#inttest/konnectivity/running.ts'

const MIB = 1024 * 1024
const PKI = '/mnt/pki'
/** Beside the cluster's own tunnel server. */
const INDEX = 5
/** Of the kube-apiserver under test, beside the cluster's own. */
const PORT = 7443
const POD = 'behind-the-tunnel'

describe('kube-apiserver through the tunnel, in each of its modes', function () {
  this.timeout(180_000)
  let cluster: Cluster
  before(async () => {
    cluster = newCluster('tunnel-egress', { workers: 1 })
    await cluster.down()
    await cluster.up()
    await certificates(cluster)
    const ticks = 'i=0; while :; do echo tick $i; i=$((i+1)); sleep 0.2; done'
    await startPods(cluster, [{ name: POD, command: ['sh', '-c', ticks] }])
  })
  after(() => cluster.down())

  for (const frontend of frontends) {
    describe(frontend, () => {
      const running: Running[] = []
      let server: TunnelServer
      before(async () => {
        server = await startServer(cluster.controller, frontend)
        running.push(server.running, await startAgent(cluster), await startApiServer(cluster, frontend))
        await server.untilAgents(1)
        await eventually('kube-apiserver is ready', 120_000, async () => {
          assert.equal(await kubectl('get', '--raw', '/readyz'), 'ok')
        })
      })
      after(() => Promise.all(running.splice(0).map((one) => one[Symbol.asyncDispose]())))

      const kubectl = (...args: readonly string[]): Promise<string> =>
        cluster.mustKubectl([`--server=https://127.0.0.1:${String(PORT)}`, ...args], { timeoutMs: 60_000 })

      it('carries exec, with its exit code and standard input', async () => {
        const server = `--server=https://127.0.0.1:${String(PORT)}`
        const argv = [server, 'exec', '-i', POD, '--', 'sh', '-c', 'cat; exit 7']
        const { code, stdout } = await cluster.kubectl(argv, { input: 'over' })
        assert.deepEqual([code, stdout], [7, 'over'])
      })

      it('carries logs while they are written, and their end', async () => {
        const name = `eight-${frontend}`
        await startPods(cluster, [
          { name, command: ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done'] },
        ])
        assert.equal((await kubectl('logs', '-f', name)).replaceAll(/\s/g, ''), '12345678')
      })

      it('carries 64 MiB each way, byte for byte', async () => {
        const { controller } = cluster
        const data = randomBytes(64 * MIB)
        const sum = createHash('sha256').update(data).digest('hex')
        await controller.must(['sh', '-c', 'cat >/mnt/big'], { input: data })
        await kubectl('cp', '/mnt/big', `${POD}:/tmp/big`)
        assert.equal((await kubectl('exec', POD, '--', 'sha256sum', '/tmp/big')).split(' ')[0], sum)
        await kubectl('cp', `${POD}:/tmp/big`, '/mnt/back')
        const back = await readFile(controller.diskPath('/mnt/back'))
        assert.equal(createHash('sha256').update(back).digest('hex'), sum)
        await controller.must(['rm', '/mnt/big', '/mnt/back'])
      })

      it('carries many short requests to the kubelet', async () => {
        const paths = Array.from({ length: 20 }, () => `/api/v1/nodes/${cluster.worker.name}/proxy/healthz`)
        for (const path of paths) assert.equal(await kubectl('get', '--raw', path), 'ok')
      })

      it('tells a client that nobody listens', async () => {
        const path = `/api/v1/namespaces/default/pods/${POD}:1/proxy/`
        // With CONNECT, kube-apiserver passes on the status of the answer and not the reason in its body.
        await assert.rejects(kubectl('get', '--raw', path), frontend === 'grpc-uds' ? /refused/ : /code 502/)
      })

      it('has used this tunnel, and left nothing open on it', async () => {
        assert.ok((await server.metrics()).sum('dial_duration_seconds_count') > 0)
        const idle = await server.metrics()
        console.log(`      connections kept by kube-apiserver: ${String(idle.sum('established_connections'))}`)
        assert.ok(idle.sum('established_connections') < 5)
        assert.equal(idle.sum('pending_backend_dials'), 0)
      })
    })
  }
})

async function certificates(cluster: Cluster): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'k0s-tunnel-egress-'))
  const { controller, worker } = cluster
  try {
    await must([
      tunnelClient,
      'certificates',
      `--dir=${dir}`,
      `--ips=127.0.0.1,${controller.address}`,
      'server=konnectivity-server',
      'client=kube-apiserver',
      `${worker.name}=k0s:tunnel-agent:${worker.name}/k0s:tunnel-agents`,
    ])
    for (const host of [controller, worker]) await cp(dir, host.diskPath(PKI), { recursive: true })
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function startServer(host: Host, frontend: Frontend): Promise<TunnelServer> {
  const flags = { frontend, address: host.address, pki: PKI, index: INDEX }
  const argv = [...serverProgram().argv, ...serverArgs(flags)]
  const log = `server-${frontend}`
  const server = new TunnelServer(new Running(await host.spawn(argv, log), { host, argv, log }), flags)
  await eventually('the server answers', 30_000, () => server.metrics())
  return server
}

async function startAgent({ controller, worker: host }: Cluster): Promise<Running> {
  const { name: id, address } = host
  const flags = { id, address, server: controller.address, port: agentPort(INDEX), pki: PKI }
  const argv = [...agentProgram().argv, ...agentArgs(flags)]
  return new Running(await host.spawn(argv, 'agent'), { host, argv, log: 'agent' })
}

/** A second kube-apiserver on the same store, as the first one but for its port and its egress selector. */
async function startApiServer({ controller: host }: Cluster, frontend: Frontend): Promise<Running> {
  const { argv: given } = await theProcess(host, 'kube-apiserver')
  const config = `/mnt/egress-${frontend}.json`
  await host.write(config, JSON.stringify(egressSelector({ frontend, address: host.address, pki: PKI, index: INDEX })))
  const own = ['--secure-port=', '--egress-selector-config-file=', '--endpoint-reconciler-type=']
  const argv = [
    ...given.filter((arg) => !own.some((flag) => arg.startsWith(flag))),
    `--secure-port=${String(PORT)}`,
    `--egress-selector-config-file=${config}`,
    // The Service of the API server goes on leading to the first one.
    '--endpoint-reconciler-type=none',
  ]
  const log = `kube-apiserver-${frontend}`
  return new Running(await host.spawn(argv, log), { host, argv, log })
}
