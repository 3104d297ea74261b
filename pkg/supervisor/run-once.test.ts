import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { DeadlineError } from '#pkg/lifecycle/deadline.ts'
import { runOnce, RunOnceError } from '#pkg/supervisor/run-once.ts'

describe('runOnce', () => {
  const { signal } = new AbortController()
  const shell = (script: string, timeoutMs = 10_000) =>
    runOnce({ path: '/bin/sh', args: ['-c', script], timeoutMs }, { signal })

  it('returns what was printed', async () => {
    assert.deepEqual(await shell('echo out; echo err >&2'), { stdout: 'out\n', stderr: 'err\n' })
  })

  it('gives the program only the environment that is named', async () => {
    const { stdout } = await runOnce({ path: '/usr/bin/env', args: [], env: { A: '1' }, timeoutMs: 10_000 }, { signal })
    assert.equal(stdout, 'A=1\n')
  })

  it('fails with the last line that the program said', async () => {
    await assert.rejects(shell('echo first >&2; echo "what was wrong" >&2; exit 3'), (err: unknown) => {
      assert.ok(err instanceof RunOnceError)
      assert.equal(err.message, '/bin/sh: what was wrong')
      assert.equal(err.lastLine, 'what was wrong')
      return true
    })
  })

  it('kills a program that takes too long', async () => {
    await assert.rejects(shell('exec sleep 60', 50), DeadlineError)
  })

  it('kills it when it is called off', async () => {
    const abort = new AbortController()
    const running = runOnce({ path: '/bin/sleep', args: ['60'], timeoutMs: 60_000 }, { signal: abort.signal })
    abort.abort(new Error('called off'))
    await assert.rejects(running, /called off/)
  })
})
