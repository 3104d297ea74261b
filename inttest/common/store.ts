import type { ClusterOptions } from '#inttest/common/cluster.ts'

const stores = ['etcd', 'sqlite', 'postgres', 'mariadb'] as const

/** Where the clusters of this run keep their data: `K0S_TEST_STORE`, default etcd. `make check-stores` runs all. */
export const store = storeNamed(process.env['K0S_TEST_STORE'] ?? 'etcd')

/** The component of a controller that serves the etcd API. */
export const storeComponent = store === 'etcd' ? 'etcd' : 'kine'

/** What a cluster of this run needs for its store. */
export function storeOptions(): Pick<ClusterOptions, 'config' | 'database'> {
  if (store === 'etcd') return {}
  if (store === 'sqlite') return { config: 'spec:\n  storage:\n    type: kine\n' }
  return { database: store }
}

function storeNamed(name: string): (typeof stores)[number] {
  const found = stores.find((known) => known === name)
  if (found === undefined) throw new Error(`K0S_TEST_STORE=${name}: want one of ${stores.join(', ')}`)
  return found
}
