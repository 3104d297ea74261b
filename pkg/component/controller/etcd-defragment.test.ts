import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { isWorthDefragmenting, sizesOf } from '#pkg/component/controller/etcd-defragment.ts'

const MIB = 1024 * 1024

describe('defragmentation of etcd', () => {
  it('is due when much of the file, and most of it, is unused', () => {
    const due = (total: number, inUse: number): boolean =>
      isWorthDefragmenting({ total: total * MIB, inUse: inUse * MIB })
    assert.equal(due(300, 100), true)
    assert.equal(due(90, 1), false)
    assert.equal(due(1_000, 600), false)
    assert.equal(due(200, 100), true)
  })

  it('reads the sizes that etcd tells', () => {
    const metrics = [
      '# TYPE etcd_mvcc_db_total_size_in_bytes gauge',
      'etcd_mvcc_db_total_size_in_bytes 2.5313280e+07',
      'etcd_mvcc_db_total_size_in_use_in_bytes 516096',
    ].join('\n')
    assert.deepEqual(sizesOf(metrics), { total: 25_313_280, inUse: 516_096 })
    assert.equal(sizesOf('nothing of it'), undefined)
  })
})
