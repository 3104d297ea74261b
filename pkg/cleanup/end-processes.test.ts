import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { endProcesses } from '#pkg/cleanup/end-processes.ts'
import type { ResetContext } from '#pkg/cleanup/step.ts'
import { resetContext } from '#pkg/cleanup/testing/context.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { isAlive } from '#pkg/file/proc.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { managedEnvironment } from '#pkg/supervisor/orphan.ts'

/** Programs that tests start, ended with the scope. */
class Started implements AsyncDisposable {
  readonly #children: ChildProcess[] = []

  async start(program: string, args: readonly string[], options: { detached?: boolean; pidFile?: string } = {}) {
    const { detached = true, pidFile } = options
    const env = pidFile === undefined ? {} : managedEnvironment(pidFile)
    const child = spawn(program, [...args], { detached, env, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#children.push(child)
    await once(child, 'spawn')
    return child as ChildProcess & { readonly pid: number }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    }
  }
}

describe('reset ends', function () {
  this.timeout(30_000) // real processes, also on a loaded machine

  const contextIn = (dir: string): ResetContext =>
    resetContext({ vars: cfgVars({ dataDir: join(dir, 'data'), runDir: join(dir, 'run') }) })

  it('what a supervisor left, also a program that runs from outside the bin directory', async () => {
    await using dir = await tempDir()
    await using started = new Started()
    const context = contextIn(dir.path)
    const kine = await started.start('/bin/sleep', ['600'], { pidFile: join(context.vars.runDir, 'kine.pid') })
    const elsewhere = await started.start('/bin/sleep', ['600'], { pidFile: join(dir.path, 'other/kine.pid') })
    const { removed, problems } = await endProcesses.run(context)
    assert.deepEqual(problems, [])
    assert.deepEqual(removed, [`kine (${kine.pid})`])
    assert.equal(isAlive(kine.pid), false)
    assert.equal(isAlive(elsewhere.pid), true)
  })

  it('shims with what they contain, and no program of a user from the bin directory', async () => {
    await using dir = await tempDir()
    await using started = new Started()
    const context = contextIn(dir.path)
    const { binDir, runDir } = context.vars
    await mkdir(binDir, { recursive: true })
    const shimPath = join(binDir, 'containerd-shim-runc-v2')
    await copyFile('/bin/bash', shimPath)
    await copyFile('/bin/sleep', join(binDir, 'kubectl'))
    // Not detached: a shim leads no session.
    const pidFile = join(runDir, 'containerd.pid')
    const args = ['-c', 'sleep 600 & echo $!; wait']
    const shim = await started.start(shimPath, args, { detached: false, pidFile })
    const [line] = (await once(shim.stdout!, 'data')) as [Buffer]
    const kubectl = await started.start(join(binDir, 'kubectl'), ['600'])
    const { removed, problems } = await endProcesses.run(context)
    assert.deepEqual(problems, [])
    assert.deepEqual(removed, [`containerd-shim-runc-v2 (${shim.pid})`])
    assert.equal(isAlive(shim.pid), false)
    assert.equal(isAlive(Number(line.toString())), false)
    assert.equal(isAlive(kubectl.pid), true)
  })
})
