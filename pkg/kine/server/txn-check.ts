import type { KeyRange, TxnOp, TxnRequest } from '#pkg/kine/backend.ts'
import { identity, inRange } from '#pkg/kine/keys.ts'
import { RequestErrors } from '#pkg/kine/server/status.ts'

/** etcd --max-txn-ops. */
const MAX_TXN_OPS = 128

interface Written {
  readonly puts: Map<string, Buffer>
  readonly deletes: KeyRange[]
}

/**
 * What etcd refuses before it looks at the store: too many operations, and a key that one branch would put twice or
 * both put and delete.
 *
 * @throws GrpcError
 */
export function assertTxn(request: TxnRequest): void {
  assertOpCount(request, MAX_TXN_OPS)
  collectWrites(request.success)
  collectWrites(request.failure)
}

/** Each level of nesting has what the levels above it have left. */
function assertOpCount({ compares, success, failure }: TxnRequest, max: number): void {
  const count = Math.max(compares.length, success.length, failure.length)
  if (count > max) throw RequestErrors.tooManyOps()
  for (const op of [...success, ...failure]) if (op.type === 'txn') assertOpCount(op.request, max - count)
}

/** In the order of etcd's own check: deletes of this level, then nested transactions, then puts of this level. */
function collectWrites(ops: readonly TxnOp[]): Written {
  const deletes = ops.flatMap((op) => (op.type === 'delete' ? [op.request.range] : []))
  const puts = new Map<string, Buffer>()
  for (const op of ops) if (op.type === 'txn') addNested(op.request, { puts, deletes })
  for (const op of ops) {
    if (op.type !== 'put') continue
    addPut(op.request.key, { puts, deletes }, undefined)
  }
  return { puts, deletes }
}

function addNested(request: TxnRequest, into: Written): void {
  const then = collectWrites(request.success)
  const otherwise = collectWrites(request.failure)
  for (const key of then.puts.values()) addPut(key, into, undefined)
  // Only one branch is executed: both may put the same key.
  for (const key of otherwise.puts.values()) addPut(key, into, then.puts)
  into.deletes.push(...then.deletes, ...otherwise.deletes)
}

function addPut(key: Buffer, { puts, deletes }: Written, allowed: ReadonlyMap<string, Buffer> | undefined): void {
  const name = identity(key)
  if (puts.has(name) && allowed?.has(name) !== true) throw RequestErrors.duplicateKey()
  if (deletes.some((range) => isBounded(range) && inRange(key, range))) throw RequestErrors.duplicateKey()
  puts.set(name, key)
}

/** etcd's check takes the range end literally: one zero byte, "to the end of the keys", is an empty range to it. */
function isBounded({ end }: KeyRange): boolean {
  return end?.length !== 0
}
