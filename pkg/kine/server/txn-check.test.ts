import assert from 'node:assert/strict'
import type { TxnOp, TxnRequest } from '#pkg/kine/backend.ts'
import { GrpcError } from '#pkg/kine/server/status.ts'
import { assertTxn } from '#pkg/kine/server/txn-check.ts'

const b = (text: string): Buffer => Buffer.from(text)
const put = (key: string): TxnOp => ({
  type: 'put',
  request: { key: b(key), value: b(''), lease: 0, previousWanted: false, ignoreValue: false, ignoreLease: false },
})
const remove = (start: string, end?: string): TxnOp => ({
  type: 'delete',
  request: { range: { start: b(start), end: end === undefined ? undefined : b(end) }, previousWanted: false },
})
const nested = (success: TxnOp[], failure: TxnOp[] = []): TxnOp => ({
  type: 'txn',
  request: { compares: [], success, failure },
})

describe('assertTxn', () => {
  const request = (success: TxnOp[], failure: TxnOp[] = []): TxnRequest => ({ compares: [], success, failure })

  it('accepts what etcd accepts', () => {
    const cases: [string, TxnRequest][] = [
      ['both branches', request([put('a')], [put('a')])],
      ['two deletions of a key', request([remove('a'), remove('a', 'c')])],
      ['both branches of a nested one', request([nested([put('a')], [put('a')])])],
      ['a range without end, which etcd does not see', request([put('b'), remove('a', '')])],
      ['end of a range', request([remove('a', 'b'), put('b')])],
      ['siblings that put and then delete', request([nested([put('a')]), nested([remove('a')])])],
    ]
    for (const [name, accepted] of cases) assert.doesNotThrow(() => assertTxn(accepted), name)
  })

  it('refuses a key that one path writes twice', () => {
    const cases: [string, TxnRequest][] = [
      ['two puts', request([put('a'), put('a')])],
      ['in the failure branch', request([], [put('a'), put('a')])],
      ['put and delete', request([put('b'), remove('a', 'c')])],
      ['nested put', request([nested([put('a')]), put('a')])],
      ['nested delete', request([nested([], [remove('a')]), put('a')])],
      ['two nested ones', request([nested([put('a')]), nested([], [put('a')])])],
      ['delete around a nested put', request([remove('a'), nested([nested([put('a')])])])],
    ]
    for (const [name, refused] of cases) {
      assert.throws(() => assertTxn(refused), { message: 'etcdserver: duplicate key given in txn request' }, name)
    }
  })

  it('counts operations level by level', () => {
    const wide = (n: number, prefix: string): TxnOp[] => Array.from({ length: n }, (_, i) => put(`${prefix}${i}`))
    assert.doesNotThrow(() => assertTxn(request([nested(wide(127, 'a'))])))
    assert.throws(() => assertTxn(request([nested(wide(128, 'a'))])), GrpcError)
    assert.throws(() => assertTxn(request(wide(100, 'a').concat(nested(wide(28, 'b'))))), GrpcError)
  })
})
