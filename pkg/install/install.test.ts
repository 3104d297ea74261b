import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { detectInitSystem, installedService, requireService } from '#pkg/install/detect.ts'
import { installService, type InstallRequest } from '#pkg/install/install.ts'
import { openrcState } from '#pkg/install/openrc.ts'
import { assertReachable } from '#pkg/install/reachable.ts'
import { removeServices } from '#pkg/install/remove.ts'
import type { RunProgram } from '#pkg/supervisor/run-program.ts'
import { serviceInfo } from '#pkg/install/service-info.ts'
import { serviceHint, serviceToStop, startService } from '#pkg/install/start-stop.ts'
import { systemdState } from '#pkg/install/systemd.ts'
import { findMadeUsers, userComment } from '#pkg/install/users.ts'

/** A tree that looks like a host of systemd, and a systemctl that notes what it is asked. */
async function systemdHost(stack: AsyncDisposableStack) {
  const { path: root } = stack.use(await tempDir())
  await mkdir(join(root, 'run/systemd/system'), { recursive: true })
  await mkdir(join(root, 'etc/systemd/system'), { recursive: true })
  const calls: string[] = []
  const state = { fail: '', active: 'inactive', sub: 'dead', pid: 0 }
  const run: RunProgram = (name, args) => {
    const call = [name, ...args].join(' ')
    calls.push(call)
    if (state.fail !== '' && call.includes(state.fail)) {
      return Promise.resolve({ code: 1, stdout: '', stderr: 'Failed: the bus is gone\n' })
    }
    const stdout = `ActiveState=${state.active}\nSubState=${state.sub}\nMainPID=${state.pid}\n`
    return Promise.resolve({ code: 0, stdout: args[0] === 'show' ? stdout : '', stderr: '' })
  }
  const init = await detectInitSystem({ root, run })
  assert.ok(init)
  return { root, run, init, calls, state }
}

const request: InstallRequest = {
  role: 'worker',
  executable: '/usr/local/bin/k0s',
  flags: ['--profile=edge'],
  environment: { HTTP_PROXY: 'http://user:hidden@proxy:3128' },
  token: 'H4sIsecret',
  users: [],
  stopTimeoutSeconds: 90,
  force: false,
}

describe('installing a service', () => {
  let stack: AsyncDisposableStack
  let host: Awaited<ReturnType<typeof systemdHost>>
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    host = await systemdHost(stack)
  })
  afterEach(() => stack.disposeAsync())

  const unit = (): string => join(host.root, 'etc/systemd/system/k0sworker.service')
  const etc = (name = ''): string => join(host.root, 'etc/k0s', name)

  it('writes the unit, and the secrets where only root reads them', async () => {
    const result = await installService(request, host)
    assert.deepEqual(result, { path: unit(), changed: true })
    const text = await readFile(unit(), 'utf8')
    assert.match(text, /^ExecStart=\/usr\/local\/bin\/k0s worker --profile=edge --token-file=.*k0sworker\.token$/m)
    assert.doesNotMatch(text, /secret|hidden/)
    assert.equal(await readFile(etc('k0sworker.token'), 'utf8'), 'H4sIsecret\n')
    assert.match(await readFile(etc('k0sworker.env'), 'utf8'), /^HTTP_PROXY="http:\/\/user:hidden@proxy:3128"$/m)
    for (const name of ['k0sworker.token', 'k0sworker.env']) assert.equal((await stat(etc(name))).mode & 0o777, 0o600)
    assert.deepEqual(host.calls, ['systemctl daemon-reload', 'systemctl enable k0sworker.service'])
    assert.deepEqual(await serviceInfo('worker', host), { SysInit: 'linux-systemd', StubFile: unit() })
    assert.deepEqual(await serviceInfo('controller', host), { SysInit: 'linux-systemd', StubFile: '' })
  })

  it('changes nothing when repeated, refuses other settings, and replaces with force', async () => {
    await installService(request, host)
    const { ino } = await stat(unit())
    assert.equal((await installService(request, host)).changed, false)
    assert.equal((await stat(unit())).ino, ino)
    const other = { ...request, flags: [], environment: {}, token: undefined }
    await assert.rejects(installService(other, host), /already installed with other settings.*--force/)
    assert.match(await readFile(unit(), 'utf8'), /--profile=edge/)
    assert.equal((await installService({ ...other, force: true }, host)).changed, true)
    assert.match(await readFile(unit(), 'utf8'), /^ExecStart=\/usr\/local\/bin\/k0s worker$/m)
    assert.deepEqual(await readdir(etc()), [])
  })

  it('notices that only a secret differs', async () => {
    await installService(request, host)
    await assert.rejects(installService({ ...request, token: 'another' }, host), { code: 'ERR_SERVICE' })
    assert.equal(await readFile(etc('k0sworker.token'), 'utf8'), 'H4sIsecret\n')
  })

  it('refuses a second role', async () => {
    await installService(request, host)
    await assert.rejects(installService({ ...request, role: 'controller', force: true }, host), /one role at a time/)
    assert.equal((await installedService(host))?.role, 'worker')
  })

  it('takes back what it made when the init system refuses', async () => {
    host.state.fail = 'enable'
    await assert.rejects(installService(request, host), /systemctl enable k0sworker\.service: Failed: the bus is gone/)
    const left = await readdir(join(host.root, 'etc'), { recursive: true, withFileTypes: true })
    assert.deepEqual(
      left.filter((entry) => entry.isFile()),
      [],
    )
  })

  it('puts back what was there when the init system refuses', async () => {
    await installService(request, host)
    const before = await readFile(unit(), 'utf8')
    host.state.fail = 'daemon-reload'
    await assert.rejects(installService({ ...request, flags: [], token: 'new', force: true }, host))
    assert.equal(await readFile(unit(), 'utf8'), before)
    assert.equal(await readFile(etc('k0sworker.token'), 'utf8'), 'H4sIsecret\n')
  })

  it('leaves nothing half-written on a full disk', async () => {
    // A namespace of its own: the mounts end with the process, whatever happens.
    const script = join(import.meta.dirname, 'testing', 'install-on-full-disk.ts')
    const mount = 'mount -t tmpfs -o size=64k none "$2" && exec "$0" "$1" "$2"'
    const isolate = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount']
    const command = ['sh', '-c', mount, process.execPath, script, host.root]
    const { stdout } = await promisify(execFile)('unshare', [...isolate, ...command])
    const { message, files } = JSON.parse(stdout) as { message: string; files: readonly string[] }
    assert.match(message, /^cannot write .*k0sworker\.service: disk full/)
    assert.deepEqual(files, [])
  })

  it('keeps the mode of /etc/k0s', async () => {
    await mkdir(etc(), { recursive: true })
    await chmod(etc(), 0o700)
    await installService(request, host)
    assert.equal((await stat(etc())).mode & 0o777, 0o700)
  })

  it('is undone by a reset, which can be repeated and keeps the files of the user', async () => {
    await installService(request, host)
    await writeFile(etc('k0s.yaml'), 'spec: {}')
    host.calls.length = 0
    host.state.active = 'activating'
    host.state.sub = 'auto-restart'
    const report = await removeServices(host)
    assert.deepEqual(report, {
      removed: ['service k0sworker', etc('k0sworker.token'), etc('k0sworker.env')],
      problems: [],
    })
    assert.deepEqual(
      host.calls.filter((call) => !call.includes(' show ')),
      ['systemctl disable k0sworker.service', 'systemctl stop k0sworker.service', 'systemctl daemon-reload'],
    )
    assert.deepEqual(await readdir(etc()), ['k0s.yaml'])
    assert.deepEqual(await readdir(join(host.root, 'etc/systemd/system')), [])
    assert.deepEqual(await removeServices(host), { removed: [], problems: [] })
  })
})

describe('starting and stopping', () => {
  let stack: AsyncDisposableStack
  let host: Awaited<ReturnType<typeof systemdHost>>
  beforeEach(async () => {
    stack = new AsyncDisposableStack()
    host = await systemdHost(stack)
  })
  afterEach(() => stack.disposeAsync())

  it('says what to install where nothing is', async () => {
    await assert.rejects(requireService(host), /not installed as a service.*k0s install controller/)
    await assert.rejects(requireService({ root: join(host.root, 'etc') }), { code: 'ERR_NO_INIT_SYSTEM' })
  })

  it('starts once', async () => {
    await installService(request, host)
    const service = await requireService(host)
    await startService(service, { runningPid: undefined })
    assert.equal(host.calls.at(-1), 'systemctl start k0sworker.service')
    Object.assign(host.state, { active: 'active', sub: 'running', pid: 77 })
    await assert.rejects(startService(service, { runningPid: 77 }), /k0sworker is already running \(process 77\)/)
    Object.assign(host.state, { active: 'inactive', sub: 'dead', pid: 0 })
    await assert.rejects(startService(service, { runningPid: 5 }), /in the foreground \(process 5\)/)
  })

  it('stops a service by its init system, and a foreground run by itself', async () => {
    await installService(request, host)
    const service = await requireService(host)
    assert.equal(await serviceToStop(service, { pid: 5 }), undefined)
    Object.assign(host.state, { active: 'active', sub: 'running', pid: 77 })
    assert.equal(await serviceToStop(service, { pid: 77 }), service)
    assert.equal(await serviceToStop(service, { pid: undefined }), service)
    assert.equal(await serviceToStop(service, { pid: 5 }), undefined)
    assert.equal(await serviceToStop(undefined, { pid: 5 }), undefined)
  })

  it('says where to read why a service does not answer', async () => {
    await installService(request, host)
    const service = await requireService(host)
    assert.match(await serviceHint(service), /is inactive \(dead\); start it with k0s start/)
    Object.assign(host.state, { active: 'activating', sub: 'auto-restart' })
    assert.match(await serviceHint(service), /ends again and again; read why with journalctl -u k0sworker/)
  })

  it('reads the states of systemd and of OpenRC', () => {
    const show = (active: string, sub: string, pid: number): string =>
      `MainPID=${pid}\nActiveState=${active}\nSubState=${sub}\n`
    assert.deepEqual(systemdState(show('active', 'running', 7)), {
      state: 'running',
      pid: 7,
      detail: 'active (running)',
    })
    assert.equal(systemdState(show('activating', 'start', 7)).state, 'running')
    assert.equal(systemdState(show('activating', 'auto-restart', 0)).state, 'failing')
    assert.equal(systemdState(show('deactivating', 'stop-sigterm', 7)).state, 'running')
    assert.deepEqual(systemdState(show('failed', 'failed', 0)), {
      state: 'stopped',
      pid: undefined,
      detail: 'failed (failed)',
    })
    assert.deepEqual(
      [0, 4, 8, 32, 3, undefined].map((code) => openrcState(code).state),
      ['running', 'running', 'running', 'stopped', 'stopped', 'stopped'],
    )
  })
})

describe('system users', () => {
  it('are removed only if k0s made them', () => {
    const passwd = [
      'root:x:0:0:root:/root:/bin/sh',
      'etcd:x:998:998::/var/lib/etcd:/usr/sbin/nologin',
      `kube-apiserver:x:997:997:${userComment}:/nonexistent:/usr/sbin/nologin`,
      '',
    ].join('\n')
    assert.deepEqual(findMadeUsers(passwd), ['kube-apiserver'])
  })

  it('have to reach the executable', async () => {
    await using dir = await tempDir()
    await chmod(dir.path, 0o755)
    await mkdir(join(dir.path, 'home/bin'), { recursive: true })
    await assertReachable(join(dir.path, 'home/bin/k0s'), 'the executable')
    await chmod(join(dir.path, 'home'), 0o700)
    await assert.rejects(assertReachable(join(dir.path, 'home/bin/k0s'), 'the executable'), {
      code: 'ERR_SERVICE',
      message: new RegExp(`is below ${dir.path}/home, which only its owner may enter`),
    })
    await assertReachable(join(dir.path, 'not/there/yet'), 'the data directory')
  })
})
