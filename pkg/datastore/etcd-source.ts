import { writtenMeanwhile } from '#pkg/datastore/kine-source.ts'
import { decodeChanges, decodeLease } from '#pkg/datastore/etcd-frames.ts'
import { EtcdProgram } from '#pkg/datastore/etcd-program.ts'
import type { Source, StoreContents } from '#pkg/datastore/store.ts'
import type { Revision } from '#pkg/kine/backend.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { identity } from '#pkg/kine/keys.ts'

/** Keys and values of a page, bytes. */
const PAGE_BYTES = 1024 * 1024

/** Where an etcd is and how it is reached. */
export type EtcdLocation =
  | { readonly directory: string }
  | {
      readonly url: string
      readonly caFile?: string | undefined
      readonly certFile?: string | undefined
      readonly keyFile?: string | undefined
    }

/** What an etcd is read with. */
export interface EtcdReading {
  /** The etcd executable of this product. */
  readonly program: string
  /** For copies, which have the size of the store. */
  readonly workDir: string
  /** For messages. */
  readonly name: string
}

/**
 * Opens the data directory of a stopped member, or a snapshot of a running one. A directory cannot be used by a server
 * until the source is disposed of; if a killed server has left work in it, a copy is read.
 *
 * @throws DatastoreError, DatastoreInUseError
 */
export async function openEtcdSource(location: EtcdLocation, reading: EtcdReading): Promise<EtcdSource> {
  const args = ['prepare', ...locationArgs(location), '--work-dir', reading.workDir]
  const holder = new EtcdProgram(reading.program, args, reading.name)
  try {
    return new EtcdSource(holder, (await holder.nextReply()) as Prepared, location, reading)
  } catch (error) {
    await holder[Symbol.asyncDispose]()
    throw error
  }
}

interface Prepared extends Omit<StoreContents, 'leases'> {
  readonly file: string
  readonly leases: readonly Parameters<typeof decodeLease>[0][]
}

/** An etcd that is only read. */
export class EtcdSource implements Source {
  readonly contents: StoreContents
  readonly #holder: EtcdProgram
  readonly #file: string
  readonly #location: EtcdLocation
  readonly #reading: EtcdReading

  constructor(holder: EtcdProgram, prepared: Prepared, location: EtcdLocation, reading: EtcdReading) {
    const { revision, compactRevision, leases, file } = prepared
    this.contents = { revision, compactRevision, leases: leases.map(decodeLease) }
    this.#holder = holder
    this.#file = file
    this.#location = location
    this.#reading = reading
  }

  changes(after: Revision): AsyncIterable<readonly StoredChange[]> {
    return dumpChanges(this.#file, after, this.#reading)
  }

  async confirmUnchanged(): Promise<void> {
    if ('directory' in this.#location) return
    const { program, name } = this.#reading
    await using asking = new EtcdProgram(program, ['revision', ...locationArgs(this.#location)], name)
    const { revision } = (await asking.nextReply()) as { readonly revision: Revision }
    if (revision !== this.contents.revision) throw writtenMeanwhile(name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder.finish()
  }
}

/** The changes after a revision in a database file of etcd's, pages of whole revisions. */
export async function* dumpChanges(
  file: string,
  after: Revision,
  { program, name }: Pick<EtcdReading, 'program' | 'name'>,
): AsyncGenerator<readonly StoredChange[]> {
  await using dump = new EtcdProgram(program, ['dump', '--file', file], name)
  const creations = new Map<string, Revision>()
  let page: StoredChange[] = []
  let bytes = 0
  try {
    for await (const changes of decodeChanges(dump.output)) {
      for (const change of changes) {
        if (bytes > PAGE_BYTES && change.revision !== page.at(-1)?.revision) {
          yield page
          page = []
          bytes = 0
        }
        const whole = withCreation(change, creations)
        if (change.revision <= after) continue
        page.push(whole)
        bytes += change.key.length + change.value.length
      }
    }
  } catch (error) {
    if (error instanceof Error && error.message.startsWith('the changes end')) throw await dump.failure()
    throw error
  }
  if (page.length > 0) yield page
}

/** etcd's deletions do not tell which life they ended. */
function withCreation(change: StoredChange, creations: Map<string, Revision>): StoredChange {
  const key = identity(change.key)
  if (change.version > 0) {
    if (change.version === 1 || !creations.has(key)) creations.set(key, change.createRevision)
    return change
  }
  const createRevision = creations.get(key) ?? 0
  creations.delete(key)
  return { ...change, createRevision }
}

function locationArgs(location: EtcdLocation): string[] {
  if ('directory' in location) return ['--data-dir', location.directory]
  const { url, caFile, certFile, keyFile } = location
  const files = Object.entries({ cacert: caFile, cert: certFile, key: keyFile })
  return ['--endpoint', url, ...files.flatMap(([flag, file]) => (file === undefined ? [] : [`--${flag}`, file]))]
}
