import { DatastoreError } from '#pkg/datastore/errors.ts'
import type { Source } from '#pkg/datastore/store.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'

/** Where kube-apiserver keeps its objects unless told otherwise, and where it looks for them in the target. */
const DEFAULT_PREFIX = 'registry'

/** Whose keys are wanted of an etcd that several may share. */
export interface PrefixOptions {
  /** As kube-apiserver's --etcd-prefix; undefined: its default, with every other key beside it. */
  readonly prefix: string | undefined
  /** For messages. */
  readonly name: string
}

/**
 * A cluster in an etcd that others may use, too: of another prefix only the keys below it, which get the prefix that the
 * API server has by default. Their revisions stay; those of the other keys are used for nothing in the target.
 *
 * @throws DatastoreError if there is no key below the prefix; the source is then disposed of
 */
export async function belowPrefix(source: Source, { prefix, name }: PrefixOptions): Promise<Source> {
  const from = folder(prefix ?? DEFAULT_PREFIX)
  try {
    await findKey(source, from, name)
  } catch (error) {
    await source[Symbol.asyncDispose]()
    throw error
  }
  const to = folder(DEFAULT_PREFIX)
  if (from.equals(to)) return source
  const renamed = (change: StoredChange): StoredChange => {
    return { ...change, key: Buffer.concat([to, change.key.subarray(from.length)]) }
  }
  return {
    contents: source.contents,
    async *changes(after) {
      for await (const page of source.changes(after)) {
        const own = page.filter(({ key }) => isBelow(key, from))
        if (own.length > 0) yield own.map(renamed)
      }
    },
    confirmUnchanged: () => source.confirmUnchanged(),
    [Symbol.asyncDispose]: () => source[Symbol.asyncDispose](),
  }
}

async function findKey(source: Source, from: Buffer, name: string): Promise<void> {
  for await (const page of source.changes(0)) if (page.some(({ key }) => isBelow(key, from))) return
  throw new DatastoreError(
    `${name} has no key below ${from.toString()}: give the prefix of the cluster (spec.storage.etcd.externalCluster.etcdPrefix) with --from-etcd-prefix`,
  )
}

/** kube-apiserver puts the slashes around it that are not there. */
function folder(prefix: string): Buffer {
  const name = prefix.replaceAll(/^\/+|\/+$/g, '')
  return Buffer.from(name === '' ? '/' : `/${name}/`)
}

function isBelow(key: Buffer, from: Buffer): boolean {
  return key.length > from.length && key.subarray(0, from.length).equals(from)
}
