import assert from 'node:assert/strict'
import { defaultClusterSpec, withDefaults } from '#pkg/apis/defaults.ts'
import { goDurationMs } from '#pkg/apis/duration.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterSpecSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'

describe('defaults', () => {
  it('fill every depth', () => {
    const spec = defaultClusterSpec()
    assert.equal(spec.api.port, 6443)
    assert.equal(spec.api.ca.expiresAfter, '87600h0m0s')
    assert.equal(spec.network.provider, 'flannel')
    assert.equal(spec.network.nodeLocalLoadBalancing.envoyProxy.apiServerBindPort, 7443)
    assert.deepEqual(spec.workerProfiles, [])
    assert.equal(spec.api.address, undefined)
  })

  it('leave what is given, treat null as left out, and share nothing', () => {
    const given = { api: { port: 7000, sans: ['a'], address: null }, storage: null }
    const spec = withDefaults(asJsonSchema(clusterSpecSchema), given) as ReturnType<typeof defaultClusterSpec>
    assert.equal(spec.api.port, 7000)
    assert.deepEqual(spec.api.sans, ['a'])
    assert.ok(!('address' in spec.api))
    assert.deepEqual(spec.storage, defaultClusterSpec().storage)
    assert.notEqual(spec.api.extraArgs, defaultClusterSpec().api.extraArgs)
  })

  it('fill the items of lists', () => {
    const spec = withDefaults(asJsonSchema(clusterSpecSchema), { workerProfiles: [{ name: 'a' }] }) as {
      workerProfiles: unknown
    }
    assert.deepEqual(spec.workerProfiles, [{ name: 'a', values: {} }])
  })
})

describe('goDurationMs', () => {
  for (const [text, ms] of [
    ['8760h0m0s', 8760 * 3600_000],
    ['1h30m', 5400_000],
    ['1.5s', 1500],
    ['-2ms', -2],
    ['0', 0],
    ['', undefined],
    ['10', undefined],
    ['1d', undefined],
  ] as const) {
    it(`reads ${JSON.stringify(text)}`, () => assert.equal(goDurationMs(text), ms))
  }
})
