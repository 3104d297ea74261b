import { tmpdir } from 'node:os'
import { parseStoreAddress } from '#pkg/datastore/address.ts'
import { migrate } from '#pkg/datastore/migrate.ts'
import type { MigrationSummary } from '#pkg/datastore/migrate.ts'
import { openSource, openTarget } from '#pkg/datastore/open.ts'
import type { OpenDeps } from '#pkg/datastore/open.ts'
import type { MigrationPlan } from '#pkg/datastore/plan.ts'
import type { Progress } from '#pkg/datastore/progress.ts'
import { runDryRun } from '#pkg/datastore/run.ts'
import type { Source, Target } from '#pkg/datastore/store.ts'
import { dialectFor, otherSessions } from '#pkg/kine/dialect/open.ts'
import { ETCD } from '#pkg/kine/testing/etcd-server.ts'
import { testFiles } from '#pkg/kine/testing/servers.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const newStore = {
  memberName: 'default',
  peerUrl: 'http://127.0.0.1:2380',
  etcdOwner: undefined,
  kineOwner: undefined,
}

const onFailure = (error: Error): void => {
  throw error
}

async function deps(): Promise<OpenDeps> {
  const files = await testFiles()
  return {
    etcdProgram: () => Promise.resolve(ETCD),
    openDialect: (endpoint, options) => dialectFor(endpoint, options, { files, log: silentLogger, onFailure }),
    otherSessions: (endpoint) => otherSessions(endpoint, { log: silentLogger }),
    workDir: tmpdir(),
  }
}

/** Opens the source of a migration by its address. */
export async function source(address: string, prefix?: string): Promise<Source> {
  return openSource(parseStoreAddress('--from', address), { prefix }, await deps())
}

/** Opens the target of a migration by its address. */
export async function target(address: string): Promise<Target> {
  return openTarget(parseStoreAddress('--to', address), newStore, await deps())
}

/** What `--dry-run` says. */
export async function dryRun(from: string, to: string, etcdPrefix?: string): Promise<MigrationPlan> {
  const { signal } = new AbortController()
  const options = { from: { address: from, tls: {}, etcdPrefix }, to: { address: to, tls: {} } }
  return await runDryRun(options, { ...(await deps()), signal, onProgress: () => undefined })
}

/** Migrates as the command does. */
export async function runMigration(
  from: string,
  to: string,
  onProgress: (progress: Progress) => void = () => undefined,
  etcdPrefix?: string,
): Promise<MigrationSummary> {
  await using opened = new AsyncDisposableStack()
  const names = { sourceName: from, targetName: to }
  const [fromStore, toStore] = [opened.use(await source(from, etcdPrefix)), opened.use(await target(to))]
  const { signal } = new AbortController()
  return await migrate({ ...names, source: fromStore, target: toStore }, { signal, onProgress })
}
