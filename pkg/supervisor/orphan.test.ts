import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '#pkg/file/proc.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { endAllOrphans, endOrphans, managedEnvironment, managedProcesses } from '#pkg/supervisor/orphan.ts'
import { supervise, type ProcessSpec } from '#pkg/supervisor/process.ts'

const script = join(import.meta.dirname, 'testing', 'run-supervisor.ts')

/** Starts a supervisor process that runs `spec`, and kills it as kill -9 does. @returns the PID of its orphan */
async function orphanOfKilledSupervisor(spec: ProcessSpec): Promise<number> {
  const supervisor = spawn(process.execPath, [script, JSON.stringify(spec)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(supervisor.stdout, 'data')) as [Buffer]
  await kill(supervisor)
  return Number(line.toString())
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await exited
}

function sleeper(runDir: string): ProcessSpec {
  return { name: 'part', path: '/bin/sleep', args: ['600'], pidFile: join(runDir, 'part.pid'), stopGraceMs: 2_000 }
}

describe('orphans', function () {
  this.timeout(30_000) // real processes, also on a loaded machine

  it('of a killed supervisor are ended before the process is started again', async () => {
    await using dir = await tempDir()
    const spec = sleeper(dir.path)
    const orphan = await orphanOfKilledSupervisor(spec)
    assert.equal(isAlive(orphan), true)
    assert.equal(readFileSync(spec.pidFile, 'utf8').trim(), String(orphan))
    const supervised = supervise(spec, { log: silentLogger })
    await supervised.start()
    try {
      assert.equal(isAlive(orphan), false)
      assert.deepEqual(
        managedProcesses(dir.path).map(({ pid }) => pid),
        [supervised.pid],
      )
    } finally {
      await supervised.stop()
    }
  })

  it('are found without their PID file', async () => {
    await using dir = await tempDir()
    const spec = sleeper(dir.path)
    const orphan = await orphanOfKilledSupervisor(spec)
    rmSync(spec.pidFile)
    const supervised = supervise(spec, { log: silentLogger })
    await supervised.start()
    await supervised.stop()
    assert.equal(isAlive(orphan), false)
  })

  it('are never processes that got their PID, nor those of another run directory', async () => {
    await using dir = await tempDir()
    const spec = sleeper(join(dir.path, 'ours'))
    const stranger = spawn('/bin/sleep', ['600'], { detached: true })
    const other = spawn('/bin/sleep', ['600'], { detached: true, env: managedEnvironment(`${dir.path}/part.pid`) })
    try {
      await Promise.all([once(stranger, 'spawn'), once(other, 'spawn')])
      for (const { pid } of [stranger, other]) {
        mkdirSync(join(dir.path, 'ours'), { recursive: true })
        writeFileSync(spec.pidFile, `${pid}\n`)
        const supervised = supervise(spec, { log: silentLogger })
        await supervised.start()
        await supervised.stop()
        assert.equal(isAlive(pid!), true)
      }
    } finally {
      await Promise.all([kill(stranger), kill(other)])
    }
  })

  it('of containerd do not include its shims, which inherit its environment and make a group of their own', async () => {
    await using dir = await tempDir()
    // The worst case: the shim is the same program as what started it. Job control gives it a group (setpgid).
    const spec = {
      ...sleeper(dir.path),
      path: '/bin/bash',
      args: ['-c', 'set -m; bash -c "sleep 600; :" & echo $!; wait'],
    }
    const env = managedEnvironment(spec.pidFile)
    const containerd = spawn(spec.path, spec.args, { detached: true, env, stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(containerd.stdout, 'data')) as [Buffer]
    const shim = Number(line.toString())
    try {
      await endOrphans(spec, { log: silentLogger })
      assert.equal(isAlive(containerd.pid!), false)
      assert.equal(isAlive(shim), true)
      assert.deepEqual(managedProcesses(dir.path), [])
    } finally {
      process.kill(-shim, 'SIGKILL')
    }
  })

  it('can be ended by run directory', async () => {
    await using dir = await tempDir()
    const orphan = await orphanOfKilledSupervisor(sleeper(dir.path))
    const found = managedProcesses(dir.path)
    assert.deepEqual(found, [{ pid: orphan, pidFile: join(dir.path, 'part.pid'), name: 'part' }])
    await endAllOrphans(dir.path, { log: silentLogger })
    assert.equal(isAlive(orphan), false)
    assert.equal(existsSync(join(dir.path, 'part.pid')), false)
  })
})
