import assert from 'node:assert/strict'
import { StateRecord } from '#pkg/component/manager/state.ts'

describe('StateRecord', () => {
  it('moves only as the diagram shows', () => {
    const record = new StateRecord()
    assert.throws(() => record.transition('ready'), { message: 'a component cannot go from stopped to ready' })
    record.transition('waiting')
    assert.throws(() => record.transition('not-ready'), TypeError)
    assert.equal(record.state, 'waiting')
  })

  it('keeps the last 64 events, and the reason of the last probe without an event', () => {
    const record = new StateRecord()
    record.transition('waiting')
    record.transition('starting')
    for (let i = 0; i < 50; i += 1) {
      record.transition('not-ready', `reason ${i}`)
      record.transition('ready')
    }
    record.transition('not-ready', 'refused')
    record.probed('timed out')
    assert.equal(record.events.length, 64)
    assert.equal(record.events.at(-1)!.reason, 'refused')
    assert.equal(record.reason, 'timed out')
    assert.ok(record.probedAt !== undefined && record.probedAt >= record.since)
  })
})
