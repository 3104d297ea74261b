import assert from 'node:assert/strict'
import type { ServiceError } from '@grpc/grpc-js'
import type { Message } from '#pkg/kine/testing/etcd-messages.ts'

/** Short for the bytes of a text. */
export const b = (text: string): Buffer => Buffer.from(text)

/** etcdserverpb.RequestOp of a put. */
export const put = (key: string, value: string, more: object = {}): object => ({
  request_put: { key: b(key), value: b(value), ...more },
})

/** etcdserverpb.RequestOp of a range. */
export const get = (key: string, more: object = {}): object => ({ request_range: { key: b(key), ...more } })

/** etcdserverpb.RequestOp of a deletion. */
export const del = (key: string, more: object = {}): object => ({ request_delete_range: { key: b(key), ...more } })

/** etcdserverpb.Compare of Kubernetes: the key was last changed at `revision`; 0: it does not exist. */
export const modIs = (key: string, revision: number): object => ({
  target: 'Mod',
  result: 'Equal',
  key: b(key),
  mod_revision: revision,
})

/** Keys of a range response. */
export const keysOf = (response: Message): string[] => response.kvs.map(({ key }) => key.toString())

/** Values of a range response. */
export const valuesOf = (response: Message): string[] => response.kvs.map(({ value }) => value.toString())

/** Holds a call to a gRPC status, text included: clients tell etcd's errors apart by it. */
export async function rejectsWith(call: Promise<unknown>, code: number, details: string): Promise<void> {
  await assert.rejects(call, (error: ServiceError) => {
    assert.deepEqual({ code: error.code, details: error.details }, { code, details })
    return true
  })
}

/** Texts of etcd's errors (api/v3rpc/rpctypes/error.go). */
export const TEXTS = {
  compacted: 'etcdserver: mvcc: required revision has been compacted',
  future: 'etcdserver: mvcc: required revision is a future revision',
  duplicateKey: 'etcdserver: duplicate key given in txn request',
  tooManyOps: 'etcdserver: too many operations in txn request',
  tooLarge: 'etcdserver: request is too large',
  leaseNotFound: 'etcdserver: requested lease not found',
  noSpace: 'etcdserver: mvcc: database space exceeded',
} as const
