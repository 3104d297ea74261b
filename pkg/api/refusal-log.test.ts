import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { describe, it } from 'mocha'
import { RefusalLog } from '#pkg/api/refusal-log.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

describe('the log of refusals', () => {
  beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }))
  afterEach(() => mock.timers.reset())

  function make() {
    const log = recordingLogger()
    const refusals = new RefusalLog(log)
    const taken = (): readonly (readonly [string, object])[] =>
      log.lines.splice(0).map(({ message, fields }) => [message, fields] as const)
    return { refusals, taken }
  }
  const wrong = 'wrong secret for token abcdef'

  it('has the first of a source at once, and the rest in one line every 10 s', () => {
    const { refusals, taken } = make()
    refusals.refused('10.0.0.1', wrong)
    assert.deepEqual(taken(), [['join request refused', { source: '10.0.0.1', reason: wrong }]])
    for (let i = 0; i < 9; i += 1) refusals.refused('10.0.0.1', wrong)
    for (let i = 0; i < 5_000; i += 1) refusals.refused('10.0.0.1', 'too many refusals of this source')
    assert.deepEqual(taken(), [])
    mock.timers.tick(10_000)
    assert.deepEqual(taken(), [
      [
        'join requests refused',
        {
          count: 5_009,
          reasons: `too many refusals of this source: 5000; ${wrong}: 9`,
          sources: `10.0.0.1 (too many refusals of this source): 5000; 10.0.0.1 (${wrong}): 9`,
        },
      ],
    ])
  })

  it('gives a source that goes on no further line of its own, and one that comes back another', () => {
    const { refusals, taken } = make()
    for (let window = 0; window < 5; window += 1) {
      refusals.refused('10.0.0.1', wrong)
      mock.timers.tick(10_000)
      assert.deepEqual(
        taken().map(([message]) => message),
        [window === 0 ? 'join request refused' : 'join requests refused'],
      )
    }
    mock.timers.tick(20_000)
    assert.deepEqual(taken(), [])
    refusals.refused('10.0.0.1', wrong)
    assert.deepEqual(taken(), [['join request refused', { source: '10.0.0.1', reason: wrong }]])
  })

  it('stays as short when many sources with many reasons take turns, and loses no refusal', () => {
    const { refusals, taken } = make()
    const sources = 5_000
    let lines = 0
    let counted = 0
    for (let window = 0; window < 6; window += 1) {
      for (let i = 0; i < sources; i += 1) {
        refusals.refused(`10.${String(window)}.${String(i >> 8)}.${String(i & 255)}`, `there is no token ${String(i)}`)
      }
      mock.timers.tick(10_000)
      for (const [message, fields] of taken()) {
        lines += 1
        assert.ok(JSON.stringify(fields).length < 2_000)
        counted += message === 'join request refused' ? 1 : (fields as { count: number }).count
      }
    }
    assert.equal(counted, 6 * sources)
    assert.equal(lines, 6 * 3)
  })

  it('writes what it has when it ends', () => {
    const { refusals, taken } = make()
    for (let i = 0; i < 3; i += 1) refusals.refused('2001:db8:0:1::5', 'no bearer token')
    refusals[Symbol.dispose]()
    assert.deepEqual(taken(), [
      ['join request refused', { source: '2001:db8:0:1::5', reason: 'no bearer token' }],
      [
        'join requests refused',
        { count: 2, reasons: 'no bearer token: 2', sources: '2001:db8:0:1::/64 (no bearer token): 2' },
      ],
    ])
  })
})
