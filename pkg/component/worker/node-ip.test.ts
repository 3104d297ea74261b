import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { nodeIp } from '#pkg/component/worker/node-ip.ts'
import { testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'

describe('nodeIp', () => {
  const context = testWorkerContext('/nonexistent', { caPem: '', certify: () => Promise.reject(new Error('no')) })
  const chosen = (kubeletExtraArgs: readonly string[]): Promise<string> =>
    nodeIp({ ...context, options: { ...context.options, nodeIp: '192.0.2.1', kubeletExtraArgs } })

  it("is the kubelet's own, where the user sets it", async () => {
    assert.equal(await chosen(['--node-ip=192.0.2.7']), '192.0.2.7')
    assert.equal(await chosen(['--node-ip', '192.0.2.7,fd00::7']), '192.0.2.7')
  })

  it('is the one given otherwise', async () => {
    assert.equal(await chosen([]), '192.0.2.1')
    assert.equal(await chosen(['--node-ip=::']), '192.0.2.1')
  })
})
