import { existsSync } from 'node:fs'
import { belowPrefix } from '#pkg/datastore/prefixed-source.ts'
import { DatastoreError } from '#pkg/datastore/errors.ts'
import { checkUnused } from '#pkg/datastore/unused.ts'
import type { StoreAddress } from '#pkg/datastore/address.ts'
import { openEtcdSource } from '#pkg/datastore/etcd-source.ts'
import { EtcdTarget } from '#pkg/datastore/etcd-target.ts'
import { openKineSource } from '#pkg/datastore/kine-source.ts'
import { KineTarget } from '#pkg/datastore/kine-target.ts'
import { SqliteTarget } from '#pkg/datastore/sqlite-target.ts'
import type { Source, Target } from '#pkg/datastore/store.ts'
import type { UserIds } from '#pkg/file/user.ts'
import type { Dialect } from '#pkg/kine/dialect/dialect.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'

/** What stores are opened with. */
export interface OpenDeps {
  /** The etcd executable of this product. */
  readonly etcdProgram: () => Promise<string>
  readonly openDialect: (endpoint: Endpoint, options: { readonly readOnly: boolean }) => Promise<Dialect>
  /** Who else is connected to a database with the same user. */
  readonly otherSessions: (endpoint: Endpoint) => Promise<readonly string[]>
  /** For copies of an etcd, which have the size of the store. */
  readonly workDir: string
}

/** How a running etcd is reached. */
export interface EtcdClientOptions {
  /** The keys below it are those of the cluster, as for kube-apiserver's --etcd-prefix; undefined: its default. */
  readonly prefix?: string | undefined
  readonly caFile?: string | undefined
  readonly certFile?: string | undefined
  readonly keyFile?: string | undefined
}

/** What a new data directory of etcd's, or a new file, is to be. */
export interface NewStoreOptions {
  readonly memberName: string
  readonly peerUrl: string
  readonly etcdOwner: UserIds | undefined
  readonly kineOwner: UserIds | undefined
}

/** Opens what is to be read. @throws DatastoreError, KineError */
export async function openSource(address: StoreAddress, files: EtcdClientOptions, deps: OpenDeps): Promise<Source> {
  const { name } = address
  if (address.type === 'database') {
    const { endpoint } = address
    if (endpoint.type === 'sqlite' && !existsSync(endpoint.file)) {
      throw new DatastoreError(`${name}: there is no such file`)
    }
    await checkUnused(endpoint, name, deps)
    return openKineSource(await deps.openDialect(endpoint, { readOnly: true }), name)
  }
  const reading = { program: await deps.etcdProgram(), workDir: deps.workDir, name }
  if (address.type === 'etcd-directory') return openEtcdSource({ directory: address.directory }, reading)
  const { prefix, ...client } = files
  return belowPrefix(await openEtcdSource({ url: address.url, ...client }, reading), { prefix, name })
}

/** Opens what is to be filled. @throws DatastoreError */
export async function openTarget(address: StoreAddress, options: NewStoreOptions, deps: OpenDeps): Promise<Target> {
  const { name } = address
  switch (address.type) {
    case 'database': {
      const { endpoint } = address
      await checkUnused(endpoint, name, deps)
      const dialect = await deps.openDialect(endpoint, { readOnly: false })
      if (endpoint.type !== 'sqlite') return new KineTarget(dialect, name)
      return new SqliteTarget(dialect, { name, file: endpoint.file, owner: options.kineOwner })
    }
    case 'etcd-directory': {
      const { directory } = address
      const { memberName, peerUrl, etcdOwner: owner } = options
      const program = await deps.etcdProgram()
      return new EtcdTarget({ directory, memberName, peerUrl, owner, program, workDir: deps.workDir, name })
    }
    case 'etcd-server':
      throw runningEtcdTarget(name)
  }
}

export function runningEtcdTarget(name: string): DatastoreError {
  return new DatastoreError(
    `--to ${name}: a running etcd cannot be given the revisions of another store; write a data directory (--to etcd:///path) and start etcd from that`,
  )
}
