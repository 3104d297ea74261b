import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { isStarting } from '#cmd/token.ts'
import { shownArgs } from '#cmd/worker.ts'
import { FileError } from '#pkg/file/errors.ts'
import { KubeconfigError } from '#pkg/kubernetes/kubeconfig.ts'
import { NotRunningError } from '#pkg/status/errors.ts'

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code })
}

describe('token create --wait', () => {
  it('waits for what a controller makes at its start', () => {
    for (const err of [
      new NotRunningError('/run/k0s/status.sock'),
      new FileError('read', '/var/lib/k0s/pki/ca.crt', { cause: systemError('ENOENT') }),
      new KubeconfigError('cannot use it', { cause: systemError('ENOENT') }),
    ])
      assert.equal(isStarting(err), true, err.message)
  })

  it('does not wait for a permission that nobody will give', () => {
    for (const err of [
      new FileError('connect to', '/run/k0s/status.sock', { cause: systemError('EACCES') }),
      new KubeconfigError('cannot use it', { cause: systemError('EACCES') }),
    ])
      assert.equal(isStarting(err), false, err.message)
    assert.equal(isStarting(new TypeError('a bug')), false)
  })
})

describe('the command line in the status', () => {
  it('has no join token', () => {
    assert.deepEqual(shownArgs(['worker', '--debug', 'H4sIA'], 'H4sIA'), ['worker', '--debug', '<join-token>'])
    assert.deepEqual(shownArgs(['worker', '--labels='], undefined), ['worker', '--labels='])
  })
})
