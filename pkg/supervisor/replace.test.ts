import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isAlive } from '#pkg/file/proc.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { pollUntil } from '#pkg/net/poll.ts'
import { ProcessReplaceError } from '#pkg/supervisor/errors.ts'
import { supervise, type ProcessSpec } from '#pkg/supervisor/process.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

const signal = new AbortController().signal

async function eventually(what: string, check: () => boolean): Promise<void> {
  const attempt = (): Promise<void> => (check() ? Promise.resolve() : Promise.reject(new Error('not yet')))
  await pollUntil(what, attempt, { signal, intervalMs: 5, timeoutMs: 25_000 })
}

/** A program of which the newest start serves: it writes `current`, and ends when another's number is in there. */
const givesWay = `
[ -e refuse ] && exit 3
echo $$ > current
while [ "$(cat current)" = $$ ]; do sleep 0.05; done
`

async function program(script: string, options: Partial<ProcessSpec> = {}) {
  const dir = await tempDir()
  const pidFile = join(dir.path, 'part.pid')
  const spec = { name: 'part', path: '/bin/sh', args: ['-c', script], pidFile, stopGraceMs: 2_000, cwd: dir.path }
  const supervised = supervise({ ...spec, ...options }, { log: recordingLogger() })
  return {
    file: (name: string) => join(dir.path, name),
    pidFile,
    supervised,
    async [Symbol.asyncDispose]() {
      await supervised.stop()
      await dir[Symbol.asyncDispose]()
    },
  }
}

describe('replace', function () {
  this.timeout(30_000)

  it('starts the successor first and waits for the end of the old process', async () => {
    await using part = await program(givesWay)
    await part.supervised.start()
    const old = part.supervised.pid!
    await eventually('it serves', () => existsSync(part.file('current')))
    await part.supervised.replace()
    const pid = part.supervised.pid!
    assert.notEqual(pid, old)
    assert.deepEqual([isAlive(old), isAlive(pid)], [false, true])
    assert.equal(readFileSync(part.pidFile, 'utf8'), `${pid}\n`)
    assert.equal(part.supervised.restarts, 0)
    // It is supervised like any other.
    process.kill(pid, 'SIGKILL')
    await eventually('a respawn', () => part.supervised.restarts === 1 && part.supervised.pid !== pid)
  })

  it('keeps the old process when the new one ends', async () => {
    await using part = await program(givesWay)
    await part.supervised.start()
    const old = part.supervised.pid!
    await eventually('it serves', () => existsSync(part.file('current')))
    writeFileSync(part.file('refuse'), '')
    await assert.rejects(part.supervised.replace(), ProcessReplaceError)
    assert.equal(part.supervised.pid, old)
    assert.equal(readFileSync(part.pidFile, 'utf8'), `${old}\n`)
    assert.equal(isAlive(old), true)
  })

  it('ends an old process that does not give way', async () => {
    await using part = await program('exec sleep 600', { replaceTimeoutMs: 300 })
    await part.supervised.start()
    const old = part.supervised.pid!
    await part.supervised.replace()
    assert.deepEqual([isAlive(old), isAlive(part.supervised.pid!)], [false, true])
  })

  it('starts nothing where nothing is to run', async () => {
    await using part = await program('exec sleep 600')
    await part.supervised.replace()
    assert.equal(part.supervised.pid, undefined)
    await part.supervised.start()
    await Promise.all([part.supervised.stop(), part.supervised.replace()])
    assert.equal(part.supervised.pid, undefined)
  })

  it('can be stopped in the middle', async () => {
    await using part = await program('exec sleep 600')
    await part.supervised.start()
    const old = part.supervised.pid!
    const replacing = part.supervised.replace()
    await eventually('two run', () => readFileSync(part.pidFile, 'utf8') !== `${old}\n`)
    const next = Number(readFileSync(part.pidFile, 'utf8'))
    await part.supervised.stop()
    await replacing
    assert.deepEqual([isAlive(old), isAlive(next), existsSync(part.pidFile)], [false, false, false])
  })
})
