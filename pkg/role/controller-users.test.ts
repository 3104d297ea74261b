import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { withDefaults } from '#pkg/apis/defaults.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema, type ClusterConfig } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { ResolvedSpec } from '#pkg/config/load.ts'
import { componentUsers, missingUsers } from '#pkg/role/controller-users.ts'

function specOf(type: 'etcd' | 'kine'): ResolvedSpec {
  const users = { etcdUser: 'root', kineUser: 'no-such-user', kubeSchedulerUser: 'no-such-scheduler' }
  const value = { spec: { storage: { type }, installConfig: { users } } }
  return (withDefaults(asJsonSchema(clusterConfigSchema), value) as ClusterConfig).spec as ResolvedSpec
}

describe('system users of a controller', () => {
  it('are looked up by the names of the configuration', async () => {
    const { etcd, scheduler } = await componentUsers(specOf('etcd'))
    assert.deepEqual(etcd, { uid: 0, gid: 0 })
    assert.equal(scheduler, undefined)
  })

  it('are named when they are missing, those of the store that runs only', () => {
    const ids = { uid: 1, gid: 1 }
    const found = {
      etcd: ids,
      kine: undefined,
      konnectivity: ids,
      apiServer: ids,
      scheduler: undefined,
      api: undefined,
    }
    assert.deepEqual(missingUsers(specOf('etcd'), found, { joinable: true }), ['no-such-scheduler', 'k0s-api'])
    assert.deepEqual(missingUsers(specOf('kine'), found, { joinable: false }), ['no-such-user', 'no-such-scheduler'])
  })
})
