import { parseStoreAddress } from '#pkg/datastore/address.ts'
import type { StoreAddress } from '#pkg/datastore/address.ts'
import { migrate } from '#pkg/datastore/migrate.ts'
import type { MigrationDeps, MigrationSummary } from '#pkg/datastore/migrate.ts'
import { openSource, openTarget } from '#pkg/datastore/open.ts'
import type { NewStoreOptions, OpenDeps } from '#pkg/datastore/open.ts'
import { DatastoreError } from '#pkg/datastore/errors.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'

/** One end of a migration as it is named on a command line. */
export interface StoreOptions {
  readonly address: string
  /** Certificates for its server, where it has one. */
  readonly tls: DatabaseTlsFiles
}

/** A migration as it is named on a command line. */
export interface RunOptions {
  readonly from: StoreOptions & { readonly etcdPrefix?: string | undefined }
  readonly to: StoreOptions
  /** Asked for only when something of it is needed. */
  readonly newStore: () => Promise<NewStoreOptions>
}

/** `k0s datastore migrate`. @throws DatastoreError and its kin, KineError */
export async function runMigration(options: RunOptions, deps: OpenDeps & MigrationDeps): Promise<MigrationSummary> {
  const { from, to, newStore } = options
  const [source, target] = [
    parseStoreAddress('--from', from.address, from.tls),
    parseStoreAddress('--to', to.address, to.tls),
  ]
  if (from.etcdPrefix !== undefined && source.type !== 'etcd-server') {
    throw new DatastoreError('--from-etcd-prefix is for an etcd that runs elsewhere: --from=https://host:2379')
  }
  if (place(source) === place(target)) throw new DatastoreError('--from and --to are the same datastore')
  await using opened = new AsyncDisposableStack()
  const fromStore = opened.use(await openSource(source, { ...from.tls, prefix: from.etcdPrefix }, deps))
  const toStore = opened.use(await openTarget(target, await newStore(), deps))
  return await migrate({ source: fromStore, target: toStore, sourceName: source.name, targetName: target.name }, deps)
}

function place(address: StoreAddress): string {
  return address.type === 'database' ? JSON.stringify(address.endpoint) : address.name
}
