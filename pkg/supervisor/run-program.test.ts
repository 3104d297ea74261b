import assert from 'node:assert/strict'
import { DeadlineError } from '#pkg/lifecycle/deadline.ts'
import { lastLine, runProgram } from '#pkg/supervisor/run-program.ts'

describe('runProgram', () => {
  const shell = (script: string, options: Parameters<typeof runProgram>[2] = {}): ReturnType<typeof runProgram> =>
    runProgram('sh', ['-c', script], options)

  it('gives back what the program left, whatever its exit code is', async () => {
    assert.deepEqual(await shell('echo out; echo err >&2'), { code: 0, stdout: 'out\n', stderr: 'err\n' })
    assert.deepEqual(await shell('exit 3'), { code: 3, stdout: '', stderr: '' })
    assert.equal((await runProgram('k0s-no-such-program', [])).code, undefined)
  })

  it('gives it its input, an empty one otherwise, and does not mind when it is not read', async () => {
    assert.equal((await shell('cat', { input: 'text' })).stdout, 'text')
    assert.equal((await shell('cat')).stdout, '')
    assert.equal((await shell('exec true', { input: 'x'.repeat(1_000_000) })).code, 0)
  })

  it('gives it an environment of its own', async () => {
    assert.equal((await shell('echo "$HOME-$A"', { env: { A: 'a', PATH: '/bin' } })).stdout, '-a\n')
  })

  it('kills one that takes too long or is called off, and says so', async () => {
    await assert.rejects(shell('exec sleep 60', { timeoutMs: 50 }), (err: unknown) => {
      assert.ok(err instanceof DeadlineError)
      assert.match(err.message, /^sh -c exec sleep 60 gave no answer within 0\.05 s$/)
      return true
    })
    const abort = new AbortController()
    const running = shell('exec sleep 60', { signal: abort.signal })
    abort.abort(new Error('called off'))
    await assert.rejects(running, /^Error: called off$/)
  })

  it('names the signal that ended it', async () => {
    await assert.rejects(shell('kill -9 $$'), /^Error: sh was ended by SIGKILL$/)
  })
})

describe('lastLine', () => {
  it('is the last one with something in it', () => {
    assert.equal(lastLine('a\n b \n\n'), 'b')
    assert.equal(lastLine(' \n'), undefined)
  })
})
