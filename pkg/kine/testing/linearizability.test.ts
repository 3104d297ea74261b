import assert from 'node:assert/strict'
import { checkLinearizable } from '#pkg/kine/testing/linearizability.ts'
import type { Operation } from '#pkg/kine/testing/linearizability.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { REGISTER } from '#pkg/kine/testing/register.ts'
import type { RegisterInput, RegisterOutput } from '#pkg/kine/testing/register.ts'

type Call = Operation<RegisterInput, RegisterOutput>

/** A call from one moment to another. */
function call(calledAt: number, returnedAt: number, input: RegisterInput, output?: Partial<RegisterOutput>): Call {
  const full = output && { succeeded: true, revision: 0, value: undefined, ...output }
  return { client: 0, calledAt, returnedAt, input, output: full }
}
const write = (from: number, to: number, value: string, revision?: number): Call =>
  call(from, to, { type: 'write', value }, revision === undefined ? undefined : { revision, value })
const read = (from: number, to: number, value: string | undefined, revision: number): Call =>
  call(from, to, { type: 'read' }, { value, revision })
const swap = (from: number, to: number, expected: number, value: string, output?: Partial<RegisterOutput>): Call =>
  call(from, to, { type: 'swap', expected, value }, output)
const isLinearizable = (...history: Call[]): boolean => checkLinearizable(history, REGISTER).linearizable

describe('checkLinearizable', () => {
  it('accepts one call after the other', () => {
    assert.ok(isLinearizable(read(0, 1, undefined, 0), write(2, 3, 'a', 2), read(4, 5, 'a', 2)))
    assert.ok(isLinearizable())
  })

  it('accepts either order of calls that overlap, but one for all', () => {
    const both = [write(0, 10, 'a', 2), write(0, 10, 'b', 3)]
    assert.ok(isLinearizable(...both, read(1, 2, 'a', 2), read(3, 4, 'b', 3)))
    assert.ok(isLinearizable(...both, read(11, 12, 'b', 3)))
    assert.ok(!isLinearizable(...both, read(1, 2, 'b', 3), read(3, 4, 'a', 2)))
    assert.ok(!isLinearizable(...both, read(11, 12, 'a', 2)))
  })

  it('rejects a stale read', () => {
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), write(2, 3, 'b', 3), read(4, 5, 'a', 2)))
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), read(2, 3, undefined, 0)))
  })

  it('rejects a value from the future, of nobody, or with a wrong revision', () => {
    assert.ok(!isLinearizable(read(0, 1, 'a', 2), write(2, 3, 'a', 2)))
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), read(2, 3, 'x', 2)))
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), read(2, 3, 'a', 3)))
  })

  it('rejects a lost update', () => {
    const first = write(0, 1, 'a', 2)
    const won = swap(2, 5, 2, 'b', { revision: 3, value: 'b' })
    assert.ok(isLinearizable(first, won, swap(2, 5, 2, 'c', { succeeded: false, revision: 3, value: 'b' })))
    assert.ok(!isLinearizable(first, won, swap(2, 5, 2, 'c', { revision: 4, value: 'c' })))
    assert.ok(!isLinearizable(first, swap(2, 3, 2, 'b', { succeeded: false, revision: 2, value: 'a' })))
  })

  it('rejects revisions that go back', () => {
    assert.ok(!isLinearizable(write(0, 1, 'a', 5), write(2, 3, 'b', 4)))
  })

  it('lets a call with an unknown outcome happen late, or never, but once and not before it was called', () => {
    const lost = write(2, 3, 'b')
    assert.ok(isLinearizable(write(0, 1, 'a', 2), lost, read(4, 5, 'a', 2), read(6, 7, 'b', 3)))
    assert.ok(isLinearizable(write(0, 1, 'a', 2), lost, read(4, 5, 'a', 2)))
    const back = [read(4, 5, 'b', 3), write(6, 7, 'c', 4), read(8, 9, 'b', 5)]
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), lost, ...back))
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), read(1.2, 1.5, 'b', 3), lost))
    const lostSwap = swap(2, 3, 2, 'b')
    assert.ok(isLinearizable(write(0, 1, 'a', 2), lostSwap, read(4, 5, 'b', 3)))
    assert.ok(!isLinearizable(write(0, 1, 'a', 2), write(1.1, 1.2, 'x', 3), lostSwap, read(4, 5, 'b', 4)))
  })

  it('tells what could be explained and what not', () => {
    const verdict = checkLinearizable([write(0, 1, 'a', 2), read(2, 3, 'b', 2), read(4, 5, 'a', 2)], REGISTER)
    assert.ok(!verdict.linearizable)
    assert.deepEqual(
      verdict.explained.map(({ calledAt }) => calledAt),
      [0],
    )
    assert.deepEqual(
      verdict.stuck.map(({ calledAt }) => calledAt),
      [2],
    )
  })

  it('accepts long histories of a real register, and rejects each of them with one answer changed', () => {
    for (let seed = 1; seed <= 3; seed += 1) {
      const history = simulate(new Random(seed), 240)
      assert.ok(isLinearizable(...history), `seed ${seed}`)
      const i = history.findIndex(({ input, output }, at) => at > 120 && input.type === 'read' && output?.value)
      const { output } = history[i]!
      const changed = history.with(i, { ...history[i]!, output: { ...output!, value: 'never written' } })
      assert.ok(!isLinearizable(...changed), `seed ${seed} with answer ${i} changed`)
    }
  })
})

/** Eight clients on one key; each call takes effect at a moment of its own, one in thirty answers is lost. */
function simulate(random: Random, calls: number): Call[] {
  let value: string | undefined
  let current = 0
  let store = 1
  const planned = Array.from({ length: calls }, (_, i) => {
    const calledAt = Math.floor(i / 8) * 10 + random.below(10)
    return { i, calledAt, effectAt: calledAt + random.below(10), returnedAt: calledAt + 10 }
  })
  return planned
    .sort((a, b) => a.effectAt - b.effectAt)
    .map(({ i, calledAt, returnedAt }) => {
      const lost = random.oneIn(30)
      if (random.oneIn(2)) return call(calledAt, returnedAt, { type: 'read' }, { value, revision: current })
      const expected = random.oneIn(2) ? current : Math.max(0, current - 1)
      const succeeded = expected === current
      if (succeeded) {
        store += 1
        current = store
        value = `v${i}`
      }
      const output = { succeeded, revision: current, value }
      return call(calledAt, returnedAt, { type: 'swap', expected, value: `v${i}` }, lost ? undefined : output)
    })
}
