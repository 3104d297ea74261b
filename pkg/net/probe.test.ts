import assert from 'node:assert/strict'
import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { pollUntil } from '#pkg/net/poll.ts'
import { ProbeError, probeHttp, probeUnix } from '#pkg/net/probe.ts'

const signal = new AbortController().signal

async function serve(
  handler: http.RequestListener,
  path?: string,
): Promise<AsyncDisposable & { url: string; port: number }> {
  const server = http.createServer(handler)
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server, 'listening')
  const port = path === undefined ? (server.address() as AddressInfo).port : 0
  return {
    port,
    url: `http://127.0.0.1:${port}/readyz`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((done) => server.close(done))
    },
  }
}

describe('probeHttp', () => {
  it('resolves with the body of a 2xx answer', async () => {
    await using server = await serve((request, response) => response.end(request.headers.authorization))
    assert.equal(await probeHttp(server.url, { signal, token: 'abc' }), 'Bearer abc')
  })

  it('says which checks failed', async () => {
    const body = '[+]ping ok\n[-]etcd failed: reason withheld\n[-]informers failed\nreadyz check failed\n'
    await using server = await serve((_, response) => response.writeHead(500).end(body))
    await assert.rejects(probeHttp(server.url, { signal }), {
      message: `${server.url} answered 500: [-]etcd failed: reason withheld; [-]informers failed`,
    })
  })

  it('says that nothing listens, and that an answer takes too long', async () => {
    await using server = await serve(() => undefined)
    await assert.rejects(probeHttp('http://127.0.0.1:1/', { signal }), {
      message: 'http://127.0.0.1:1/ does not answer: connection refused',
    })
    await assert.rejects(probeHttp(server.url, { signal: AbortSignal.timeout(50) }), {
      message: `${server.url} does not answer: no answer in time`,
    })
  })

  it('reaches a unix socket', async () => {
    await using dir = await tempDir()
    const socketPath = join(dir.path, 's.sock')
    await assert.rejects(probeHttp('http://localhost/', { signal, socketPath }), /no such socket/)
    await using server = await serve((_, response) => response.end('ok'), socketPath)
    assert.equal(server.port, 0)
    assert.equal(await probeHttp('http://localhost/', { signal, socketPath }), 'ok')
    await probeUnix(socketPath, { signal })
  })
})

describe('pollUntil', () => {
  it('repeats until success and reports failures', async () => {
    const reasons: string[] = []
    let attempts = 0
    const attempt = async (): Promise<number> => {
      attempts += 1
      await Promise.resolve()
      if (attempts < 3) throw new Error(`attempt ${attempts}`)
      return attempts
    }
    const onFailure = (reason: string): number => reasons.push(reason)
    assert.equal(await pollUntil('it', attempt, { signal, intervalMs: 1, timeoutMs: 5_000, onFailure }), 3)
    assert.deepEqual(reasons, ['attempt 1', 'attempt 2'])
  })

  it('keeps the last reason when time runs out', async () => {
    const attempt = (): Promise<never> => Promise.reject(new ProbeError('connection refused'))
    await assert.rejects(pollUntil('joining', attempt, { signal, intervalMs: 5, timeoutMs: 30 }), {
      message: 'joining did not succeed within 0.03 s: connection refused',
    })
  })

  it('keeps the last reason when the last attempt hangs', async () => {
    let first = true
    const attempt = async (deadline: AbortSignal): Promise<never> => {
      if (!first) await once(deadline, 'abort')
      first = false
      throw new Error('refused')
    }
    await assert.rejects(pollUntil('joining', attempt, { signal, intervalMs: 1, timeoutMs: 50 }), {
      message: 'joining did not succeed within 0.05 s: refused',
    })
  })

  it('rejects with the reason of its signal', async () => {
    const stop = new AbortController()
    const reason = new Error('stopping')
    const polling = pollUntil('it', () => Promise.reject(new Error('no')), {
      signal: stop.signal,
      intervalMs: 1,
      timeoutMs: 5_000,
    })
    stop.abort(reason)
    await assert.rejects(polling, reason)
  })
})
