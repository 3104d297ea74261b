import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { StatusClient } from '#pkg/status/client.ts'
import { NotRunningError, StatusRequestError } from '#pkg/status/errors.ts'
import { reports, status } from '#pkg/status/testdata/status.ts'
import type { ComponentSummary, StatusInfo } from '#pkg/status/types.ts'
import { describeMissing, isReady, stopAndWait, waitReady } from '#pkg/status/wait.ts'

const ready = (name: string): ComponentSummary => ({ name, state: 'ready', waitingFor: [], since: '' })

/** A client whose answers are a list; the last one repeats. */
function client(answers: readonly (readonly ComponentSummary[] | Error)[], pid = 0): StatusClient {
  let asked = 0
  const get = (): Promise<StatusInfo> => {
    const answer = answers[Math.min(asked, answers.length - 1)]!
    asked += 1
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve({ ...status, Components: answer })
  }
  const components = (): Promise<never> => Promise.reject(new Error('not asked for'))
  return { socketPath: '/run/k0s/status.sock', get, components, stop: () => Promise.resolve({ pid }) }
}

describe('waitReady', () => {
  it('waits for k0s to run and for every component, and tells each change once', async () => {
    const lines: string[] = []
    const answers = [new NotRunningError('/run/k0s/status.sock'), reports, reports, [ready('etcd')]]
    const result = await waitReady(client(answers), { timeoutMs: 5_000, onProgress: (line) => lines.push(line) })
    assert.equal(result.Components.length, 1)
    assert.deepEqual(lines, [
      'k0s is not running yet (/run/k0s/status.sock)',
      '1 of 3 ready; kube-apiserver: https://127.0.0.1:6443/readyz does not answer: connection refused; kube-scheduler waits for kube-apiserver',
    ])
  })

  it('says what is missing when time runs out', async () => {
    await assert.rejects(waitReady(client([reports]), { timeoutMs: 0 }), {
      code: 'ERR_STATUS_TIMEOUT',
      message: `the node is not ready after 0 s: ${describeMissing(reports)}`,
    })
  })

  it('does not wait when asking makes no sense', async () => {
    const error = new StatusRequestError('not k0s')
    await assert.rejects(waitReady(client([error]), { timeoutMs: 5_000 }), error)
  })

  it('takes a node without components for not ready', () => {
    assert.equal(isReady({ Components: [] }), false)
    assert.equal(isReady({ Components: [ready('a'), ready('b')] }), true)
  })
})

describe('stopAndWait', () => {
  it('waits until the process is gone', async () => {
    const child = spawn('/bin/sh', ['-c', 'echo up; read line'], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    const lines: string[] = []
    const onProgress = (line: string): void => {
      lines.push(line)
      child.stdin.end('\n') // it stops only after we were seen waiting
    }
    await stopAndWait(client([reports], child.pid), { timeoutMs: 5_000, onProgress })
    assert.deepEqual(lines, ['stopping: etcd, kube-apiserver, kube-scheduler'])
  })

  it('says what still runs when time runs out', async () => {
    await assert.rejects(stopAndWait(client([reports], process.pid), { timeoutMs: 0 }), {
      code: 'ERR_STATUS_TIMEOUT',
      message: `process ${process.pid} has not stopped after 0 s: stopping: etcd, kube-apiserver, kube-scheduler`,
    })
  })
})
