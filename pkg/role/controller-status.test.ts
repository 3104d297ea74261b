import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { withDefaults } from '#pkg/apis/defaults.ts'
import { asJsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema, type ClusterConfig } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import { publicConfig, storageName } from '#pkg/role/controller-status.ts'

describe('the storage in the status', () => {
  const external = { etcd: { externalCluster: { endpoints: ['https://a:2379'], etcdPrefix: 'x' } } }
  const named: readonly (readonly [string, object])[] = [
    ['etcd', { type: 'etcd' }],
    ['external etcd', { type: 'etcd', ...external }],
    ['kine (sqlite)', { type: 'kine' }],
    ['kine (postgres)', { type: 'kine', kine: { dataSource: 'postgresql://u:p@db/x' } }],
    ['kine (mysql)', { type: 'kine', kine: { extraArgs: { endpoint: 'mysql://u:p@tcp(db)/x' } } }],
  ]
  for (const [name, storage] of named) {
    it(`is ${name}`, () => {
      const { spec } = withDefaults(asJsonSchema(clusterConfigSchema), { spec: { storage } }) as ClusterConfig
      assert.equal(storageName(spec as NodeConfig['spec']), name)
      assert.doesNotMatch(JSON.stringify(publicConfig({ spec: spec as NodeConfig['spec'] })), /u:p@/)
    })
  }
})

describe('database URLs in the status', () => {
  const shown: readonly (readonly [string, string])[] = [
    ['postgres://k0s:pa@ss/w0rd@db.example/kine?sslmode=require', 'postgres://k0s:***@db.example/kine?sslmode=require'],
    ['mysql://k0s:secret@tcp(db.example:3306)/kine', 'mysql://k0s:***@tcp(db.example:3306)/kine'],
    [
      'postgres://db.example/kine?user=k0s&password=secret&sslpassword=other&x=1',
      'postgres://db.example/kine?user=k0s&password=***&sslpassword=***&x=1',
    ],
    ['sqlite://file:/var/lib/k0s/db/state.db?mode=rwc', 'sqlite://file:/var/lib/k0s/db/state.db?mode=rwc'],
  ]
  for (const [dataSource, expected] of shown) {
    it(`have no password: ${expected}`, () => {
      const { spec } = withDefaults(asJsonSchema(clusterConfigSchema), {
        spec: { storage: { type: 'kine', kine: { dataSource } } },
      }) as ClusterConfig
      const config = publicConfig({ spec: spec as NodeConfig['spec'] }) as ClusterConfig
      assert.equal(config.spec.storage.kine.dataSource, expected)
    })
  }
})
