import { assertNever } from '#pkg/errors/error.ts'
import type {
  Compare,
  DeleteRequest,
  KeyVersion,
  LeaseId,
  PutRequest,
  RangeQuery,
  RangeResult,
  Revision,
  TxnOp,
  TxnOpResult,
  TxnRequest,
  TxnResult,
} from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'
import { rangeNow } from '#pkg/kine/read/range.ts'
import type { Batch } from '#pkg/kine/writer/batch.ts'

/** What a transaction needs besides the batch. */
export interface EvaluationContext {
  readonly batch: Batch
  readonly compactRevision: Revision
  /** Value of a version that `valuesNeeded` named, or that the batch itself wrote. */
  readonly valueOf: (version: KeyVersion) => Buffer
  /** What the index cannot answer, an older revision or an order by value, is put off until after the commit. */
  readonly defer: (query: RangeQuery, into: { result: RangeResult }) => void
}

/** One decision per transaction, nested ones included, taken before anything is executed, as in etcd. */
interface Path {
  readonly request: TxnRequest
  readonly succeeded: boolean
  readonly nested: readonly Path[]
}

/** Versions whose values must be known before the transaction can be evaluated. */
export function valuesNeeded(request: TxnRequest, batch: Batch): KeyVersion[] {
  const needed: KeyVersion[] = []
  for (const { target, range } of request.compares) if (target === 'value') needed.push(...batch.list(range, 0))
  for (const op of [...request.success, ...request.failure]) {
    if (op.type === 'txn') needed.push(...valuesNeeded(op.request, batch))
    if (op.type !== 'put' || !op.request.ignoreValue) continue
    const current = batch.get(op.request.key)
    if (current !== undefined) needed.push(current)
  }
  return needed
}

/**
 * Runs one transaction against the batch: compares, checks, then the operations, all under one new revision.
 *
 * @throws StoreError before anything was changed
 */
export function evaluate(request: TxnRequest, context: EvaluationContext): TxnResult {
  const path = decide(request, context)
  check(path, context)
  const result = execute(path, context)
  return { ...result, revision: context.batch.endRevision() }
}

function decide(request: TxnRequest, context: EvaluationContext): Path {
  const succeeded = request.compares.every((compare) => holds(compare, context))
  const nested = (succeeded ? request.success : request.failure).flatMap((op) =>
    op.type === 'txn' ? [decide(op.request, context)] : [],
  )
  return { request, succeeded, nested }
}

function holds(compare: Compare, context: EvaluationContext): boolean {
  const { range } = compare
  const single = range.end === undefined ? context.batch.get(range.start) : undefined
  const versions = range.end === undefined ? (single === undefined ? [] : [single]) : context.batch.list(range, 0)
  if (versions.length > 0) return versions.every((version) => matches(compare, difference(compare, version, context)))
  // A missing key compares as all zeros, but has no value that could be compared.
  if (compare.target === 'value') return false
  return matches(compare, order(0, compare.operand))
}

function difference(compare: Compare, version: KeyVersion, context: EvaluationContext): number {
  switch (compare.target) {
    case 'value':
      return context.valueOf(version).compare(compare.operand)
    case 'version':
      return Math.sign(version.version - compare.operand)
    case 'create':
      return Math.sign(version.createRevision - compare.operand)
    case 'mod':
      return Math.sign(version.modRevision - compare.operand)
    case 'lease':
      return order(version.lease, compare.operand)
    default:
      return assertNever(compare)
  }
}

function order(a: LeaseId, b: LeaseId): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function matches({ result }: Compare, difference: number): boolean {
  switch (result) {
    case 'equal':
      return difference === 0
    case 'not-equal':
      return difference !== 0
    case 'greater':
      return difference > 0
    case 'less':
      return difference < 0
    default:
      return assertNever(result)
  }
}

/** Everything that can fail fails here, before the first change. */
function check(path: Path, context: EvaluationContext): void {
  let nested = 0
  for (const op of branch(path)) {
    switch (op.type) {
      case 'range':
        checkRevision(op.query.revision, context)
        break
      case 'put':
        checkPut(op.request, context.batch)
        break
      case 'delete':
        break
      case 'txn':
        check(at(path.nested, nested), context)
        nested += 1
        break
      default:
        assertNever(op)
    }
  }
}

function checkRevision(revision: Revision, { batch, compactRevision }: EvaluationContext): void {
  if (revision <= 0) return
  if (revision > batch.revision) throw new StoreError('future-revision')
  if (revision < compactRevision) throw new StoreError('compacted')
}

function checkPut({ key, lease, ignoreValue, ignoreLease }: PutRequest, batch: Batch): void {
  if (lease !== 0 && !batch.hasLease(lease)) throw new StoreError('lease-not-found')
  if ((ignoreValue || ignoreLease) && batch.get(key) === undefined) throw new StoreError('key-not-found')
}

/** The header revision of nested transactions stays 0, as in etcd. */
function execute(path: Path, context: EvaluationContext): TxnResult {
  let nested = 0
  const responses = branch(path).map((op): TxnOpResult => {
    switch (op.type) {
      case 'range':
        return executeRange(op.query, context)
      case 'put':
        return executePut(op.request, context)
      case 'delete':
        return executeDelete(op.request, context.batch)
      case 'txn':
        nested += 1
        return { type: 'txn', result: execute(at(path.nested, nested - 1), context) }
      default:
        return assertNever(op)
    }
  })
  return { revision: 0, succeeded: path.succeeded, responses }
}

function executeRange(query: RangeQuery, context: EvaluationContext): TxnOpResult {
  const { batch } = context
  const revision = batch.revision + (batch.dirty ? 1 : 0)
  const historical = query.revision > 0 && query.revision < revision
  const nothing: RangeResult = { revision, versions: [], more: false, count: 0, keysOnly: query.keysOnly }
  const op = { type: 'range' as const, result: historical ? nothing : rangeNow(batch, query, revision) }
  if (historical || query.sortTarget === 'value') context.defer(query, op)
  return op
}

function executePut(request: PutRequest, context: EvaluationContext): TxnOpResult {
  const { batch } = context
  const current = batch.get(request.key)
  const value = request.ignoreValue && current !== undefined ? context.valueOf(current) : request.value
  const lease = request.ignoreLease && current !== undefined ? current.lease : request.lease
  const { modRevision } = batch.put(request.key, value, lease)
  return { type: 'put', revision: modRevision, previous: request.previousWanted ? current : undefined }
}

function executeDelete({ range, previousWanted }: DeleteRequest, batch: Batch): TxnOpResult {
  const single = range.end === undefined ? batch.get(range.start) : undefined
  const doomed = range.end === undefined ? (single === undefined ? [] : [single]) : [...batch.list(range, 0)]
  for (const version of doomed) batch.delete(version)
  const revision = batch.revision + (batch.dirty ? 1 : 0)
  return { type: 'delete', revision, deleted: doomed.length, previous: previousWanted ? doomed : [] }
}

function branch({ request, succeeded }: Path): readonly TxnOp[] {
  return succeeded ? request.success : request.failure
}

function at<T>(items: readonly T[], index: number): T {
  const item = items[index]
  if (item === undefined) throw new RangeError('transaction path does not match its request')
  return item
}
