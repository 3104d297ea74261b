import assert from 'node:assert/strict'
import { formatDuration, parseDurationMs } from '#cmd/flags/duration.ts'

describe('durations', () => {
  it('reads what Go reads', () => {
    const known = {
      '0': 0,
      '1h30m': 5_400_000,
      '250ms': 250,
      '1.5h': 5_400_000,
      '.5s': 500,
      '-2m': -120_000,
      '1us': 0.001,
    }
    for (const [text, ms] of Object.entries(known)) assert.equal(parseDurationMs(text), ms, text)
  })

  it('refuses what Go refuses', () => {
    for (const text of ['', '5', '1d', '1h 30m', 'h', '-', '1h30', 's1'])
      assert.equal(parseDurationMs(text), undefined, text)
  })

  it('prints what it reads', () => {
    for (const text of ['0s', '250ms', '2m', '1h30m', '8760h', '1h1s']) {
      assert.equal(formatDuration(parseDurationMs(text) ?? NaN), text)
    }
  })
})
