import { createHash } from 'node:crypto'
import { DatastoreDifferentError } from '#pkg/datastore/errors.ts'
import type { Source, Target } from '#pkg/datastore/store.ts'
import type { StoredChange } from '#pkg/kine/import/stored-change.ts'
import { identity } from '#pkg/kine/keys.ts'

/** What a verification has compared. */
export interface Verified {
  /** Keys that exist. */
  readonly keys: number
  /** Versions of keys, deletions included. */
  readonly changes: number
  /** Of keys and values. */
  readonly bytes: number
  /** Over every field of every change. */
  readonly sha256: string
}

/**
 * Reads both stores from the start and compares every change: key, mod revision, create revision, version, lease, value.
 *
 * @throws DatastoreDifferentError naming the first difference
 */
export async function verifyCopy(
  { source, target }: { readonly source: Pick<Source, 'changes'>; readonly target: Pick<Target, 'changes'> },
  onCompared: (changes: readonly StoredChange[]) => void,
): Promise<Verified> {
  const hash = createHash('sha256')
  const keys = new Set<string>()
  let [changes, bytes] = [0, 0]
  const copies = oneByOne(target.changes())
  try {
    for await (const page of source.changes(0)) {
      for (const change of page) {
        const { value: copy, done } = await copies.next()
        const difference = done === true ? 'it is missing in the copy' : differenceOf(change, copy)
        if (difference !== undefined) throw different(change, difference)
        addTo(hash, change)
        if (change.version > 0) keys.add(identity(change.key))
        else keys.delete(identity(change.key))
        changes += 1
        bytes += change.key.length + change.value.length
      }
      onCompared(page)
    }
    const { value: extra, done } = await copies.next()
    // What LogWriter adds to give a store its revision.
    if (done !== true && !identity(extra.key).startsWith('gap-')) throw different(extra, 'only the copy has it')
  } finally {
    await copies.return(undefined)
  }
  return { keys: keys.size, changes, bytes, sha256: hash.digest('hex') }
}

async function* oneByOne(pages: AsyncIterable<readonly StoredChange[]>): AsyncGenerator<StoredChange, undefined> {
  for await (const page of pages) yield* page
  return undefined
}

function differenceOf(a: StoredChange, b: StoredChange): string | undefined {
  if (!a.key.equals(b.key)) return `the copy has ${show(b.key)} in its place`
  // etcd does not tell which life a deletion has ended.
  const numbers = a.version === 0 ? FIELDS.slice(1) : FIELDS
  for (const [field, name] of numbers) {
    if (a[field] !== b[field]) return `${name} ${a[field]} in the source, ${b[field]} in the copy`
  }
  return a.value.equals(b.value) ? undefined : 'the values differ'
}

const FIELDS = [
  ['createRevision', 'create_revision'],
  ['revision', 'mod_revision'],
  ['version', 'version'],
  ['lease', 'lease'],
] as const

function different({ key, revision }: StoredChange, what: string): DatastoreDifferentError {
  return new DatastoreDifferentError(
    `the copy is not the source: key ${show(key)} at revision ${revision}: ${what}; empty the target and migrate again`,
  )
}

function show(key: Buffer): string {
  return JSON.stringify(key.toString())
}

function addTo(hash: ReturnType<typeof createHash>, change: StoredChange): void {
  const { revision, createRevision, version, lease, key, value } = change
  const created = version === 0 ? 0 : createRevision
  hash.update(`${revision} ${created} ${version} ${lease} ${key.length} ${value.length} `)
  hash.update(key)
  hash.update(value)
}
