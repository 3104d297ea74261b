import assert from 'node:assert/strict'
import { Pins } from '#pkg/kine/read/pins.ts'

describe('Pins', () => {
  it('hold the oldest revision that is being read, but no read for ever', () => {
    let now = 0
    const pins = new Pins(() => now)
    assert.equal(pins.oldest(), Infinity)
    const stalled = pins.hold(5)
    const other = pins.hold(7)
    assert.equal(pins.oldest(), 5)
    now = 11 * 60_000
    const late = pins.hold(6)
    assert.equal(pins.oldest(), 6)
    for (const pin of [late, late, stalled, other]) pin[Symbol.dispose]()
    assert.equal(pins.oldest(), Infinity)
  })
})
