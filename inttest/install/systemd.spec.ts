import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '#inttest/common/eventually.ts'
import { namesOf } from '#inttest/common/names.ts'
import { Network } from '#inttest/common/network.ts'
import { Container } from '#inttest/install/container.ts'
import * as host from '#inttest/install/service-host.ts'

const names = namesOf('install-systemd')
const dir = join(tmpdir(), `${names.prefix}-install`)
const USERS = ['etcd', 'kube-apiserver', 'kube-scheduler', 'konnectivity-server', 'k0s-api']

describe('services of systemd: a controller and a worker, each a host of its own', () => {
  const network = new Network(names)
  const container = (name: string, number: number): Container =>
    new Container({ name, number, dir: join(dir, name), init: 'systemd' }, { names, network })
  const controller = container('controller-0', 10)
  const worker = container('worker-0', 20)

  before(async () => {
    await network.create()
    await Promise.all([controller.create(), worker.create()])
    await worker.placeImage('tools')
    await Promise.all([controller.boot(), worker.boot()])
  })

  after(async () => {
    await Promise.all([controller.remove(), worker.remove()])
    await network.remove()
  })

  it('says what to do where nothing is installed', async () => {
    await host.refused(controller, ['start'], /not installed as a service.*k0s install controller/)
    await host.refused(controller, ['status'], /k0s is not running/)
    await host.refused(controller, ['install', 'controller', '--config=-'], /no standard input/)
    await host.refused(controller, ['install', 'controller', '--init-only'], /--init-only is for "k0s controller"/)
    await host.refused(controller, ['install', 'worker', 'not-a-token'], /token/)
    const twice = ['install', 'worker', 'one', '--token-file=/other']
    await host.refused(controller, twice, /given twice: as argument and with --token-file \/other; give it once/)
    assert.equal((await controller.run(['ls', '/etc/k0s'])).code, 2, 'nothing was written')
  })

  it('installs a controller: system users, a unit that systemd finds no fault with, not started yet', async () => {
    const printed = await controller.mustK0s(['install', 'controller', '--enable-worker=false'])
    assert.match(printed, /k0scontroller is installed \(systemd, \/etc\/systemd\/system\/k0scontroller\.service\)/)
    for (const user of USERS) await controller.must(['getent', 'passwd', user])
    assert.equal((await controller.must(['systemctl', 'is-enabled', 'k0scontroller'])).trim(), 'enabled')
    assert.equal((await controller.run(['systemctl', 'is-active', 'k0scontroller'])).stdout.trim(), 'inactive')
    const verify = await controller.run(['systemd-analyze', 'verify', 'k0scontroller.service'])
    assert.equal(verify.stderr, '')
    assert.equal(verify.code, 0)
    await host.refused(
      controller,
      ['status'],
      /its service k0scontroller is inactive \(dead\); start it with k0s start/,
    )
  })

  it('changes nothing when installed again, and refuses other settings and the other role', async () => {
    const again = await controller.mustK0s(['install', 'server', '--enable-worker=false'])
    assert.match(again, /was installed already/)
    await host.refused(controller, ['install', 'controller'], /already installed with other settings.*--force/)
    await host.refused(controller, ['install', 'worker', '--force'], /one role at a time/)
  })

  it('starts it, each component under its own user, and refuses to start it twice', async () => {
    await controller.mustK0s(['start'])
    await host.untilReady(controller)
    await host.refused(controller, ['start'], /k0scontroller is already running \(process \d+\)/)
    const users = await controller.must(['ps', '-eo', 'user:32,args'])
    assert.match(users, /^etcd +.*\/etcd /m)
    assert.match(users, /^kube-apiserver +.*\/kube-apiserver /m)
    assert.match(users, /^kube-scheduler +.*\/kube-scheduler /m)
    assert.match(users, /^konnectivity-server +.*konnectivity-server/m)
  })

  it('says the init system and the unit file in its status', async () => {
    const status = JSON.parse(await controller.mustK0s(['status', '-o', 'json'])) as Record<string, unknown>
    assert.equal(status['SysInit'], 'linux-systemd')
    assert.equal(status['StubFile'], '/etc/systemd/system/k0scontroller.service')
    assert.equal(status['Role'], 'controller')
    const text = await controller.mustK0s(['status'])
    assert.match(text, /^Init System: linux-systemd$/m)
    assert.match(text, /^Service file: \/etc\/systemd\/system\/k0scontroller\.service$/m)
  })

  it('installs and starts a worker at once; the token is in no unit and in no command line', async () => {
    const token = (await controller.mustK0s(['token', 'create', '--role=worker', '--expiry=1h', '--wait'])).trim()
    await worker.mustK0s(['install', 'worker', token, '--env', 'K0S_TEST_SECRET=hidden $value', '--start'])
    await host.untilReady(worker)
    await host.untilNodeReady(controller, worker)
    // It is used up: from now on the worker starts without it.
    const id = /^(\w{6}) +worker /m.exec(await controller.mustK0s(['token', 'list']))?.[1] ?? ''
    await controller.mustK0s(['token', 'invalidate', id])
    const { items } = await host.get(controller, ['nodes'])
    assert.deepEqual(
      items.map(({ metadata }: { metadata: { name: string } }) => metadata.name),
      ['worker-0'],
    )
    const unit = await worker.must(['systemctl', 'cat', 'k0sworker'])
    const commands = await worker.must(['ps', '-eo', 'args'])
    for (const text of [unit, commands]) assert.doesNotMatch(text, new RegExp(`${token.slice(0, 40)}|hidden`))
    for (const name of ['k0sworker.token', 'k0sworker.env']) {
      assert.equal((await stat(worker.path(`etc/k0s/${name}`))).mode & 0o777, 0o600)
    }
    const environment = await worker.must(['cat', `/proc/${String(await host.rolePid(worker))}/environ`])
    assert.ok(environment.split('\0').includes('K0S_TEST_SECRET=hidden $value'))
  })

  it('hands the tunnel over when the controller is reloaded; a worker has nothing to reload', async () => {
    await host.reload(controller, ['systemctl', 'reload', 'k0scontroller'])
    const pid = await host.rolePid(worker)
    const refused = await worker.run(['systemctl', 'reload', 'k0sworker'])
    assert.match(refused.stderr, /reload is not applicable/)
    await worker.must(['kill', '-HUP', String(pid)])
    await eventually('the worker has said so', 30_000, async () =>
      assert.match(await worker.log(), /SIGHUP without effect/),
    )
    assert.equal(await host.rolePid(worker), pid)
  })

  it('keeps pods running over a restart of either service', async () => {
    await host.startPod(controller, worker, 'stays')
    const before = await host.podProcess(worker)
    for (const [on, service] of [
      [worker, 'k0sworker'],
      [controller, 'k0scontroller'],
    ] as const) {
      const pid = await host.rolePid(on)
      await on.must(['systemctl', 'restart', service], { timeoutMs: 120_000 })
      await host.untilRestarted(on, pid)
      await host.untilReady(on)
      await host.untilNodeReady(controller, worker)
      assert.equal(await host.podProcess(worker), before)
    }
    const { status } = await host.get(controller, ['pod', 'stays'])
    assert.equal(status.containerStatuses[0].restartCount, 0)
  })

  it('is started again after SIGKILL, pods untouched', async () => {
    const before = await host.podProcess(worker)
    const pid = await host.rolePid(worker)
    await worker.must(['kill', '-9', String(pid)])
    await eventually('the service has started again', 60_000, () => host.untilRestarted(worker, pid))
    await host.untilReady(worker)
    assert.equal(await host.podProcess(worker), before)
  })

  it('comes back after a reboot of the worker', async () => {
    await worker.reboot()
    await host.untilReady(worker)
    await host.untilNodeReady(controller, worker)
  })

  it('comes back after a reboot of the controller', async () => {
    await controller.reboot()
    await host.untilReady(controller)
    await host.untilNodeReady(controller, worker)
    await eventually('the pod runs again', 120_000, () => host.podProcess(worker))
  })

  it('replaces the service with --force and restarts it with --start', async () => {
    const pid = await host.rolePid(worker)
    const flags = '--force --start --logging=kubelet=2 --token-file=gone/token'
    const install = await worker.run(['sh', '-c', `cd /srv && k0s install worker ${flags}`], { timeoutMs: 120_000 })
    assert.equal(install.code, 0, install.stderr)
    assert.match(install.stderr, /^Warning: cannot read the join token from \/srv\/gone\/token: no such file/)
    await host.untilRestarted(worker, pid)
    await host.untilReady(worker)
    await host.untilNodeReady(controller, worker)
    assert.match(
      await worker.must(['ps', '-eo', 'args']),
      /k0s.* worker --logging=kubelet=2 --token-file=\/srv\/gone\/token/,
    )
    // A node that has joined needs no token: what is of no use is not kept, and a file that is gone no obstacle.
    assert.equal((await worker.must(['ls', '/etc/k0s'])).includes('k0sworker'), false)
  })

  it('stops for good, with the pods running on', async () => {
    const before = await host.podProcess(worker)
    await worker.mustK0s(['stop'], { timeoutMs: 120_000 })
    assert.equal((await worker.run(['systemctl', 'is-active', 'k0sworker'])).stdout.trim(), 'inactive')
    await host.refused(worker, ['stop'], /k0s is not running/)
    assert.equal(await host.podProcess(worker), before)
    await worker.mustK0s(['start'])
    await host.untilReady(worker)
    assert.equal(await host.podProcess(worker), before)
  })

  it('lets a host that was reset join again under its name, although its node counts as alive for a while', async () => {
    await worker.mustK0s(['stop'], { timeoutMs: 120_000 })
    await worker.mustK0s(['reset'], { timeoutMs: 120_000 })
    const token = await controller.mustK0s(['token', 'create', '--expiry=1h'])
    await worker.must(['sh', '-c', 'cat > /root/worker.token'], { input: token })
    await worker.mustK0s(['install', 'worker', '--token-file=/root/worker.token', '--start'])
    await host.untilReady(worker)
    await host.untilNodeReady(controller, worker)
    const said = await worker.must(['sh', '-c', 'journalctl --no-pager -o cat -u k0sworker | grep "waiting for a"'])
    assert.match(said, /waiting for a certificate.*another host is node worker-0, and alive/)
  })

  it('removes service, secrets and users with reset, which refuses while it runs', async () => {
    for (const on of [worker, controller]) {
      await host.refused(on, ['reset'], /still running.*k0s stop/)
      await on.mustK0s(['stop'], { timeoutMs: 120_000 })
      await on.mustK0s(['reset'], { timeoutMs: 120_000 })
      assert.equal((await on.run(['systemctl', 'list-unit-files', 'k0s*', '--no-legend'])).stdout.trim(), '')
      assert.doesNotMatch(await readFile(on.path('etc/passwd'), 'utf8'), new RegExp(USERS.join('|')))
      assert.notEqual((await on.run(['ls', '/etc/k0s', '/var/lib/k0s'])).code, 0)
    }
  })

  it('takes over from a run in the foreground as root, and starts after a reset', async () => {
    await controller.must(['sh', '-c', 'k0s controller >/var/log/foreground.log 2>&1 &'])
    await host.untilReady(controller)
    await controller.mustK0s(['install', 'controller'])
    await host.refused(controller, ['start'], /in the foreground \(process \d+\)/)
    await controller.mustK0s(['stop'], { timeoutMs: 120_000 })
    await controller.mustK0s(['start'])
    await host.untilReady(controller)
    assert.match(await controller.must(['ps', '-eo', 'user:32,args']), /^etcd +.*\/etcd /m)
  })
})
