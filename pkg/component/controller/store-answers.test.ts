import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { describe, it } from 'mocha'
import { untilStoreSilent } from '#pkg/component/controller/store-answers.ts'

describe('an API server that ends', () => {
  /** Asks a store whose answer is `serves(second)`, in a clock of its own; `pass` lets seconds go by. */
  function ask(serves: (second: number) => boolean | 'silent') {
    mock.timers.enable({ apis: ['setTimeout'] })
    let clock = 0
    mock.method(performance, 'now', () => clock)
    const stopping = new AbortController()
    const silent = (signal: AbortSignal): Promise<void> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('no answer in time'))))
    const state: { reason?: string; ended?: boolean } = {}
    const done = untilStoreSilent((signal) => {
      const answer = serves(clock / 1_000)
      if (answer === 'silent') return silent(signal)
      return answer ? Promise.resolve() : Promise.reject(new Error('etcd has no leader'))
    }, stopping.signal).then(
      (reason) => void (state.reason = reason),
      () => void (state.ended = true),
    )
    const pass = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds * 10; i += 1) {
        clock += 100
        mock.timers.tick(100)
        for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
      }
    }
    const end = async (): Promise<void> => {
      stopping.abort(new Error('it has ended'))
      await done
    }
    return { state, pass, end }
  }
  afterEach(() => {
    mock.timers.reset()
    mock.restoreAll()
  })

  it('waits for its requests as long as the store answers', async () => {
    const { state, pass, end } = ask(() => true)
    await pass(60)
    assert.deepEqual(state, {})
    await end()
    assert.deepEqual(state, { ended: true })
  })

  it('waits for nothing once the store has not answered for 5 s, and says why', async () => {
    for (const [answer, reason] of [
      [false, 'etcd has no leader'],
      ['silent', 'no answer in time'],
    ] as const) {
      const { state, pass, end } = ask((second) => (second < 10 ? true : answer))
      await pass(14)
      assert.deepEqual(state, {})
      await pass(4)
      assert.equal(state.reason, `the store does not answer, and requests wait for it: ${reason}`)
      await end()
      mock.timers.reset()
      mock.restoreAll()
    }
  })

  it('waits through an election', async () => {
    const { state, pass, end } = ask((second) => second < 5 || second > 9)
    await pass(60)
    assert.deepEqual(state, {})
    await end()
  })
})
