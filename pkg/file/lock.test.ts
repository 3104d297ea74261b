import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { acquireLock, lockHolder } from '#pkg/file/lock.ts'
import { processStat } from '#pkg/file/proc.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'

const script = join(import.meta.dirname, 'testing', 'hold-lock.ts')

describe('acquireLock', function () {
  this.timeout(30_000) // real processes, also on a loaded machine

  it('lets one holder in at a time', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'k0s.lock')
    const attempts = await Promise.allSettled([acquireLock(path), acquireLock(path), acquireLock(path)])
    const held = attempts.filter((attempt) => attempt.status === 'fulfilled')
    assert.equal(held.length, 1)
    assert.equal(await lockHolder(path), process.pid)
    await held[0]!.value.release()
    assert.equal(await lockHolder(path), undefined)
    await using again = await acquireLock(path)
    assert.equal(again.path, path)
  })

  it('names the holder, and is free as soon as that was killed', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'k0s.lock')
    const holder = spawn(process.execPath, [script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(holder.stdout, 'data')
      await assert.rejects(acquireLock(path), (err: Error) => {
        assert.match(
          err.message,
          new RegExp(`^k0s is already running here: process ${holder.pid} \\(node\\) holds ${path}`),
        )
        return true
      })
    } finally {
      const exited = once(holder, 'exit')
      holder.kill('SIGKILL')
      await exited
    }
    await using lock = await acquireLock(path)
    assert.equal(lock.path, path)
  })

  it('refuses a directory held from another network namespace, where the socket is not seen', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'k0s.lock')
    await writeFile(path, `${process.ppid} ${processStat(process.ppid)!.startTime}\n`)
    await assert.rejects(acquireLock(path), { code: 'ERR_LOCK_HELD', pid: process.ppid })
  })

  it('ignores a file whose PID was reused', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'k0s.lock')
    await writeFile(path, `${process.ppid} 1\n`)
    await using lock = await acquireLock(path)
    assert.equal(lock.path, path)
  })
})
