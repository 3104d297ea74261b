/** mvccpb.KeyValue */
export interface KeyValueMessage {
  readonly key: Buffer
  readonly value: Buffer
  readonly create_revision: number
  readonly mod_revision: number
  readonly version: number
  readonly lease: number
}

/** mvccpb.Event */
export interface EventMessage {
  readonly type: 'Put' | 'Delete'
  readonly kv: KeyValueMessage
  readonly prev_kv: KeyValueMessage | null
}

/** etcdserverpb.ResponseHeader */
export interface HeaderMessage {
  readonly cluster_id: number
  readonly member_id: number
  readonly revision: number
  readonly raft_term: number
}

/**
 * Any response: bytes are Buffers, 64-bit integers are numbers, enums are names, defaults are filled in. Which fields
 * are there depends on the call.
 */
export interface Message {
  readonly header: HeaderMessage
  readonly kvs: readonly KeyValueMessage[]
  readonly count: number
  readonly more: boolean
  readonly prev_kv: KeyValueMessage | null
  readonly prev_kvs: readonly KeyValueMessage[]
  readonly deleted: number
  readonly succeeded: boolean
  readonly responses: readonly OpMessage[]
  readonly watch_id: number
  readonly created: boolean
  readonly canceled: boolean
  readonly compact_revision: number
  readonly cancel_reason: string
  readonly fragment: boolean
  readonly events: readonly EventMessage[]
  readonly ID: number
  readonly TTL: number
  readonly grantedTTL: number
  readonly error: string
  readonly keys: readonly Buffer[]
  readonly leases: readonly { readonly ID: number }[]
  readonly version: string
  readonly dbSize: number
  readonly dbSizeInUse: number
  readonly hash: number
  readonly alarms: readonly { readonly memberID: number; readonly alarm: string }[]
  readonly errors: readonly string[]
  readonly members: readonly { readonly clientURLs: readonly string[] }[]
}

/** etcdserverpb.ResponseOp */
export interface OpMessage {
  readonly response_range: Message
  readonly response_put: Message
  readonly response_delete_range: Message
  readonly response_txn: Message
}
