import { parseStoreAddress } from '#pkg/datastore/address.ts'
import type { StoreAddress } from '#pkg/datastore/address.ts'
import { migrate } from '#pkg/datastore/migrate.ts'
import type { MigrationDeps, MigrationSummary } from '#pkg/datastore/migrate.ts'
import { openSource, openTarget } from '#pkg/datastore/open.ts'
import type { EtcdClientOptions, NewStoreOptions, OpenDeps } from '#pkg/datastore/open.ts'
import { DatastoreError } from '#pkg/datastore/errors.ts'
import { inspectTarget } from '#pkg/datastore/inspect.ts'
import { planMigration } from '#pkg/datastore/plan.ts'
import type { MigrationPlan, PlanDeps } from '#pkg/datastore/plan.ts'
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
  const [source, target] = addressesOf(options)
  await using opened = new AsyncDisposableStack()
  const fromStore = opened.use(await openSource(source, sourceFiles(options), deps))
  const toStore = opened.use(await openTarget(target, await options.newStore(), deps))
  return await migrate({ source: fromStore, target: toStore, sourceName: source.name, targetName: target.name }, deps)
}

/** `k0s datastore migrate --dry-run`: nothing is made or written. @throws DatastoreError and its kin, KineError */
export async function runDryRun(
  options: Omit<RunOptions, 'newStore'>,
  deps: OpenDeps & PlanDeps,
): Promise<MigrationPlan> {
  const [from, to] = addressesOf(options)
  await using source = await openSource(from, sourceFiles(options), deps)
  const target = await inspectTarget(to, deps)
  return await planMigration({ source, target, sourceName: from.name, targetName: to.name }, deps)
}

function sourceFiles({ from }: Pick<RunOptions, 'from'>): EtcdClientOptions {
  return { ...from.tls, prefix: from.etcdPrefix }
}

/** @throws DatastoreError */
function addressesOf({ from, to }: Pick<RunOptions, 'from' | 'to'>): readonly [StoreAddress, StoreAddress] {
  const [source, target] = [
    parseStoreAddress('--from', from.address, from.tls),
    parseStoreAddress('--to', to.address, to.tls),
  ]
  if (from.etcdPrefix !== undefined && source.type !== 'etcd-server') {
    throw new DatastoreError('--from-etcd-prefix is for an etcd that runs elsewhere: --from=https://host:2379')
  }
  if (place(source) === place(target)) throw new DatastoreError('--from and --to are the same datastore')
  return [source, target]
}

function place(address: StoreAddress): string {
  return address.type === 'database' ? JSON.stringify(address.endpoint) : address.name
}
