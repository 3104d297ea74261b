import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '#inttest/common/eventually.ts'
import { namesOf } from '#inttest/common/names.ts'
import { Network } from '#inttest/common/network.ts'
import { Container } from '#inttest/install/container.ts'
import * as host from '#inttest/install/service-host.ts'

const names = namesOf('install-openrc')
const dir = join(tmpdir(), `${names.prefix}-install`)

describe('a service of OpenRC: one host that is controller and worker', () => {
  const network = new Network(names)
  const node = new Container({ name: 'node-0', number: 30, dir, init: 'openrc' }, { names, network })

  before(async () => {
    await network.create()
    await node.create()
    await node.placeImage('tools')
    await node.boot()
  })

  after(async () => {
    await node.remove()
    await network.remove()
  })

  it('installs and starts it, with its environment', async () => {
    await host.refused(node, ['start'], /not installed as a service/)
    const flags = ['--single', '--kubelet-extra-args=--max-pods=50 --v=1', '--env', 'K0S_TEST_SECRET=it\'s "$hidden"']
    const printed = await node.mustK0s(['install', 'controller', ...flags])
    assert.match(printed, /k0scontroller is installed \(OpenRC, \/etc\/init\.d\/k0scontroller\)/)
    await host.refused(node, ['status'], /its service k0scontroller is stopped; start it with k0s start/)
    await node.mustK0s(['start'])
    await host.untilReady(node)
    await host.untilNodeReady(node, node)
    await host.refused(node, ['start'], /k0scontroller is already running/)
    const environment = await node.must(['cat', `/proc/${String(await host.rolePid(node))}/environ`])
    assert.ok(environment.split('\0').includes('K0S_TEST_SECRET=it\'s "$hidden"'))
    const { status } = await host.get(node, ['node', 'node-0'])
    assert.equal(status.capacity.pods, '50')
  })

  it('says the init system and the script in its status', async () => {
    const status = JSON.parse(await node.mustK0s(['status', '-o', 'json'])) as Record<string, unknown>
    assert.equal(status['SysInit'], 'linux-openrc')
    assert.equal(status['StubFile'], '/etc/init.d/k0scontroller')
  })

  it('hands the tunnel over when it is reloaded', async () => {
    await host.reload(node, ['rc-service', 'k0scontroller', 'reload'])
    await host.untilReady(node)
  })

  it('keeps pods running over a restart and a SIGKILL', async () => {
    await host.startPod(node, node, 'stays')
    const before = await host.podProcess(node)
    const pid = await host.rolePid(node)
    await node.must(['rc-service', 'k0scontroller', 'restart'], { timeoutMs: 120_000 })
    await host.untilRestarted(node, pid)
    await host.untilReady(node)
    assert.equal(await host.podProcess(node), before)
    const second = await host.rolePid(node)
    await node.must(['kill', '-9', String(second)])
    await host.untilRestarted(node, second)
    await host.untilReady(node)
    assert.equal(await host.podProcess(node), before)
  })

  it('comes back after a reboot', async () => {
    await node.reboot()
    await host.untilReady(node)
    await host.untilNodeReady(node, node)
    await eventually('the pod runs again', 120_000, () => host.podProcess(node))
  })

  it('stops for good, with the pods running on', async () => {
    const before = await host.podProcess(node)
    await host.refused(node, ['reset'], /still running/)
    await node.mustK0s(['stop'], { timeoutMs: 120_000 })
    assert.equal((await node.run(['rc-service', 'k0scontroller', 'status'])).code, 3)
    assert.equal(await host.podProcess(node), before)
  })

  it('removes service, secrets, logs and users with reset', async () => {
    await node.mustK0s(['reset'], { timeoutMs: 120_000 })
    assert.doesNotMatch(await node.must(['rc-status', '--all']), /k0scontroller/)
    assert.doesNotMatch(await readFile(node.path('etc/passwd'), 'utf8'), /kube-apiserver/)
    assert.equal((await node.must(['find', '/etc/init.d', '/etc/runlevels', '/var/log', '-name', 'k0s*'])).trim(), '')
    await host.refused(node, ['start'], /not installed as a service/)
  })
})
