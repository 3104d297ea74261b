import assert from 'node:assert/strict'
import { leads, slowDisk, syncsOf } from '#pkg/component/controller/etcd-health.ts'

const METRICS = `# TYPE etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_fsync_duration_seconds_bucket{le="0.001"} 17
etcd_disk_wal_fsync_duration_seconds_sum 1.5e-01
etcd_disk_wal_fsync_duration_seconds_count 42
`

describe("the health of etcd's disk", () => {
  it('is in its metrics', () => {
    assert.deepEqual(syncsOf(METRICS), { count: 42, seconds: 0.15 })
    assert.equal(syncsOf('something else'), undefined)
  })

  it('matters most where the leader is', () => {
    assert.equal(leads(`${METRICS}etcd_server_is_leader 1\n`), true)
    assert.equal(leads(`${METRICS}etcd_server_is_leader 0\n`), false)
  })

  it('is bad when its writes are slow, and unknown when there were few', () => {
    const before = { count: 100, seconds: 10 }
    assert.match(slowDisk(before, { count: 110, seconds: 13 }) ?? '', /a write takes 300 ms on average/)
    assert.equal(slowDisk(before, { count: 110, seconds: 10.05 }), undefined)
    assert.equal(slowDisk(before, { count: 102, seconds: 18 }), undefined)
    assert.equal(slowDisk(before, { count: 12, seconds: 30 }), undefined)
  })
})
