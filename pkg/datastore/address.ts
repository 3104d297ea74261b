import { resolve } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { DatastoreError } from '#pkg/datastore/errors.ts'
import { describeEndpoint, parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { redact } from '#pkg/kine/endpoint/redact.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'

/** Where a datastore is; `name` is for messages and shows no password. */
export type StoreAddress = { readonly name: string } & (
  | { readonly type: 'database'; readonly endpoint: Endpoint }
  | { readonly type: 'etcd-directory'; readonly directory: string }
  | { readonly type: 'etcd-server'; readonly url: string }
)

const FORMS =
  'sqlite:///path/state.db, postgres://…, mysql://…, etcd:///path (a data directory) or, to read from, https://host:2379'

/** Reads `--from` or `--to`. @throws DatastoreError naming the flag, without a password */
export function parseStoreAddress(flag: string, text: string, tls: DatabaseTlsFiles = {}): StoreAddress {
  const scheme = /^([a-z0-9+]+):\/\//.exec(text)?.[1]
  if (scheme === undefined) throw new DatastoreError(`${flag} ${redact(text)}: no datastore; want ${FORMS}`)
  if (scheme === 'etcd') {
    const path = text.slice('etcd://'.length)
    if (!path.startsWith('/')) throw new DatastoreError(`${flag} ${text}: want etcd:///path/of/the/data/directory`)
    return { type: 'etcd-directory', directory: resolve(path), name: `etcd://${resolve(path)}` }
  }
  if (scheme === 'http' || scheme === 'https') return { type: 'etcd-server', url: text, name: redact(text) }
  try {
    const endpoint = parseEndpoint(text, tls)
    const name = describeEndpoint(endpoint)
    return { type: 'database', endpoint, name: endpoint.type === 'sqlite' ? `sqlite://${name}` : name }
  } catch (cause) {
    const reason = errorMessage(cause).replace(/^--endpoint/, flag)
    throw new DatastoreError(`${reason} (${flag} takes ${FORMS})`, { cause })
  }
}
