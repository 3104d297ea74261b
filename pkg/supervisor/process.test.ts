import assert from 'node:assert/strict'
import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { allPids, isAlive, processEnvironment, processStat } from '#pkg/file/proc.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { pollUntil } from '#pkg/net/poll.ts'
import { supervise, type ProcessSpec, type SupervisedProcess } from '#pkg/supervisor/process.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

const signal = new AbortController().signal

/** Waits for something that processes do on their own time. */
async function eventually(what: string, check: () => boolean): Promise<void> {
  const attempt = (): Promise<void> => (check() ? Promise.resolve() : Promise.reject(new Error('not yet')))
  await pollUntil(what, attempt, { signal, intervalMs: 5, timeoutMs: 25_000 })
}

function groupMembers(groupId: number): readonly number[] {
  return allPids().filter((pid) => processStat(pid)?.groupId === groupId && isAlive(pid))
}

/** A supervised shell script in a directory of its own. */
async function shell(script: string, options: Partial<ProcessSpec> = {}) {
  const dir = await tempDir()
  const log = recordingLogger()
  const pidFile = join(dir.path, 'run', 'part.pid')
  const spec = { name: 'part', path: '/bin/sh', args: ['-c', script], pidFile, stopGraceMs: 2_000, ...options }
  const supervised: SupervisedProcess = supervise(spec, { log })
  return {
    dir: dir.path,
    log,
    pidFile,
    supervised,
    async [Symbol.asyncDispose]() {
      await supervised.stop()
      await dir[Symbol.asyncDispose]()
    },
  }
}

describe('supervise', function () {
  this.timeout(30_000) // real processes, also on a loaded machine

  it('starts a process in a group of its own, marked and with a PID file, and stops it', async () => {
    await using part = await shell('exec sleep 600')
    await part.supervised.start()
    await part.supervised.start() // no effect
    const pid = part.supervised.pid!
    assert.equal(processStat(pid)?.groupId, pid)
    assert.equal(readFileSync(part.pidFile, 'utf8'), `${pid}\n`)
    assert.equal(statSync(part.pidFile).mode & 0o777, 0o644)
    await eventually('exec', () => processEnvironment(pid)?.includes('_K0S_MANAGED=yes') === true)
    await part.supervised.stop()
    assert.equal(isAlive(pid), false)
    assert.equal(part.supervised.pid, undefined)
    assert.equal(existsSync(part.pidFile), false)
    await part.supervised.stop() // idempotent
  })

  it('gives the child its environment, directory and input, and nothing of ours', async () => {
    await using part = await shell('echo "$PATH|$A|$HOME|$PWD|$(cat)"; exec sleep 600', {
      env: { A: 'b' },
      cwd: '/',
      stdin: 'secret: 1',
    })
    await part.supervised.start()
    const expected = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|b||/|secret: 1'
    await eventually('output', () => part.log.lines.some(({ message }) => message === expected))
  })

  it('rejects a start that is not possible, naming component and file', async () => {
    await using part = await shell('', { path: '/nonexistent/etcd' })
    await assert.rejects(part.supervised.start(), {
      code: 'ERR_PROCESS_START',
      message: 'cannot start part (/nonexistent/etcd): no such file, or its working directory does not exist',
    })
    assert.equal(existsSync(part.pidFile), false)
    await using directory = await shell('', { path: '/' })
    await assert.rejects(directory.supervised.start(), /not executable/)
  })

  it('starts a killed process again at once, and remembers why it ended', async () => {
    await using part = await shell('echo "Error: no luck"; echo ready; exec sleep 600')
    await part.supervised.start()
    const first = part.supervised.pid!
    await eventually('output', () => part.log.lines.some(({ message }) => message === 'ready'))
    const killedAt = performance.now()
    process.kill(first, 'SIGKILL')
    await eventually('respawn', () => part.supervised.restarts === 1 && part.supervised.pid !== undefined)
    assert.ok(performance.now() - killedAt < 10_000) // the delay is 250 ms; the rest is a loaded machine
    assert.notEqual(part.supervised.pid, first)
    assert.equal(part.supervised.lastExit, 'ended by SIGKILL: Error: no luck')
  })

  it('waits longer before each start of a crash loop, and stops in the middle of a wait', async () => {
    await using part = await shell('exit 7')
    await part.supervised.start()
    const waits = (): number[] =>
      part.log.lines.flatMap(({ fields }) => (fields['respawnInMs'] as number | undefined) ?? [])
    await eventually('third exit', () => waits().length === 3)
    assert.ok(
      waits().every((wait, i) => wait > 200 * 2 ** i && wait <= 250 * 2 ** i),
      String(waits()),
    )
    assert.equal(part.supervised.lastExit, 'exit code 7')
    assert.equal(part.supervised.failures, 3)
    await part.supervised.stop()
    assert.equal(part.supervised.restarts, 2)
  })

  it('kills what ignores SIGTERM once its grace is over, with all it forked', async () => {
    await using part = await shell('trap "" TERM; sleep 600 & echo up; while :; do wait; done', { stopGraceMs: 150 })
    await part.supervised.start()
    const pid = part.supervised.pid!
    await eventually('output', () => part.log.lines.some(({ message }) => message === 'up'))
    assert.equal(groupMembers(pid).length, 2)
    const startedAt = performance.now()
    await part.supervised.stop()
    assert.ok(performance.now() - startedAt >= 150)
    assert.deepEqual(groupMembers(pid), [])
  })

  it('kills what waits in vain, says why, and leaves its grace to what ends by itself', async () => {
    const asked: AbortSignal[] = []
    let tells = true as boolean
    const untilInVain = (signal: AbortSignal): Promise<string> => {
      asked.push(signal)
      return tells ? Promise.resolve('nobody answers it') : Promise.reject(new Error('cannot tell'))
    }
    const script = 'trap "" TERM; echo up; while :; do sleep 0.05; done'
    const warnings = (part: { log: { lines: readonly { message: string; fields: object }[] } }) =>
      part.log.lines.filter(({ message }) => /^not waiting/.test(message)).map(({ fields }) => fields)
    for (const kept of [false, true]) {
      // One that obeys keeps its grace: without an answer nothing is in vain.
      tells = !kept
      await using part = await shell(kept ? script.replace('""', 'exit') : script, {
        stopGraceMs: 600_000,
        untilInVain,
      })
      await part.supervised.start()
      await eventually('output', () => part.log.lines.some(({ message }) => message === 'up'))
      const pid = part.supervised.pid!
      await part.supervised.stop()
      assert.deepEqual(groupMembers(pid), [])
      assert.deepEqual(warnings(part), kept ? [] : [{ component: 'part', pid, reason: 'nobody answers it' }])
    }
    assert.ok(asked.length === 2 && asked.every(({ aborted }) => aborted))
  })

  it('ends what a crashed process left in its group, but no process that made a group of its own', async () => {
    // The second one is like a containerd shim: started by the process, in a session of its own.
    await using part = await shell('sleep 600 & setsid sleep 600 & echo shim $!; wait')
    await part.supervised.start()
    const pid = part.supervised.pid!
    const shims = (): number[] =>
      part.log.lines.flatMap(({ message }) => /^shim (\d+)$/.exec(message)?.[1] ?? []).map(Number)
    await eventually('output', () => shims().length === 1)
    const [shim = NaN] = shims()
    try {
      await eventually('setsid', () => processStat(shim)?.groupId === shim)
      process.kill(pid, 'SIGKILL')
      await eventually('respawn', () => shims().length === 2)
      assert.deepEqual(groupMembers(pid), [])
      assert.equal(isAlive(shim), true)
    } finally {
      await part.supervised.stop()
      for (const each of shims()) process.kill(each, 'SIGKILL')
    }
  })

  it('restarts on request without a back-off, and counts no crash', async () => {
    await using part = await shell('exec sleep 600')
    await part.supervised.start()
    const first = part.supervised.pid!
    await part.supervised.restart()
    assert.notEqual(part.supervised.pid, first)
    assert.equal(isAlive(first), false)
    assert.equal(part.supervised.restarts, 0)
  })

  it('obeys calls in order, whatever is under way', async () => {
    await using part = await shell('exec sleep 600')
    const { supervised } = part
    const pids: (number | undefined)[] = []
    const note = (): unknown => pids.push(supervised.pid)
    await Promise.all([supervised.start(), supervised.restart().then(note), supervised.stop(), supervised.start()])
    const last = supervised.pid!
    await supervised.stop()
    assert.ok(!pids.includes(last))
    assert.equal(isAlive(last), false)
  })

  it('reads a flood without passing it on', async () => {
    await using part = await shell('yes "stream closed" | head -n 100000; exit 3')
    await part.supervised.start()
    await eventually('end of the flood', () => part.supervised.lastExit !== undefined)
    assert.equal(part.supervised.lastExit, 'exit code 3: stream closed')
    const run = part.log.lines.slice(0, 1 + part.log.lines.findIndex(({ message }) => message === 'process ended'))
    const passed = run.filter(({ message }) => message === 'stream closed').length
    const leftOut = run.reduce((sum, { fields }) => sum + ((fields['lines'] as number | undefined) ?? 0), 0)
    assert.equal(passed + leftOut, 100_000)
    assert.ok(passed <= 10) // 5 a window; a slow machine may need a second one
  })
})

if (process.getuid?.() === 0) {
  describe('supervise as root', () => {
    it('runs the child as its user, without our groups', async () => {
      await using part = await shell('id -u; id -G; exec sleep 600', { user: { uid: 65_534, gid: 65_533 } })
      await part.supervised.start()
      await eventually('output', () => part.log.lines.some(({ message }) => message === '65533'))
      assert.ok(part.log.lines.some(({ message }) => message === '65534'))
    })
  })
}
