import assert from 'node:assert/strict'
import { Backend } from '#pkg/nllb/backend.ts'
import type { Finding } from '#pkg/nllb/health.ts'
import { GRACE_MS, Mover } from '#pkg/nllb/mover.ts'

const ready: Finding = { health: 'ready' }
const unready: Finding = { health: 'unready', reason: 'etcd' }
const closed: Finding = { health: 'closed', reason: 'refused' }
const silent: Finding = { health: 'silent', reason: 'nothing' }

class TestConnection {
  isOpen = true
  readonly #isUnanswered: boolean

  constructor({ unanswered }: { readonly unanswered: boolean }) {
    this.#isUnanswered = unanswered
  }

  unanswered(): boolean {
    return this.#isUnanswered
  }

  destroy(): void {
    this.isOpen = false
  }
}

describe('Mover', () => {
  const now = (): number => performance.now()
  let mover: Mover
  let ill: Backend
  let other: Backend
  let idle: TestConnection
  let waiting: TestConnection
  beforeEach(() => {
    mover = new Mover()
    ill = new Backend({ host: '192.0.2.1', port: 6443 })
    other = new Backend({ host: '192.0.2.2', port: 6443 })
    idle = new TestConnection({ unanswered: false })
    waiting = new TestConnection({ unanswered: true })
    ill.connections.add(idle).add(waiting)
    for (const backend of [ill, other]) backend.note(ready, now())
  })
  /** What is left after the mover has looked, `afterMs` from now. */
  const left = (afterMs = 0): readonly string[] => {
    mover.move([ill, other], now() + afterMs)
    return [idle.isOpen ? 'idle' : '', waiting.isOpen ? 'waiting' : ''].filter(Boolean)
  }

  it('moves nobody before another one is found ready, asked after this one was found not to be', () => {
    const before = now()
    for (const finding of [silent, silent]) ill.note(finding, now())
    assert.deepEqual(left(), ['idle', 'waiting'])
    other.note(ready, before)
    assert.deepEqual(left(2 * GRACE_MS), ['idle', 'waiting'])
  })

  for (const [what, finding] of [
    ['is not ready', unready],
    ['is silent', silent],
  ] as const) {
    it(`moves who waits for an answer from one that ${what}, the others after a grace`, () => {
      ill.note(finding, now())
      other.note(ready, now() + 1)
      assert.deepEqual(left(), ['idle'])
      assert.deepEqual(left(GRACE_MS - 1_000), ['idle'])
      assert.deepEqual(left(GRACE_MS + 1_000), [])
    })
  }

  it('lets a server that closed its port finish for that long', () => {
    ill.note(closed, now())
    other.note(ready, now() + 1)
    assert.deepEqual(left(), ['idle', 'waiting'])
    assert.deepEqual(left(GRACE_MS + 1_000), [])
  })

  it('moves all clients of one that is silent twice in a row', () => {
    ill.note(silent, now())
    ill.note(silent, now())
    other.note(ready, now() + 1)
    assert.deepEqual(left(), [])
  })

  it('after what ailed both, moves nobody from one that was not asked again since the other one recovered', () => {
    for (const backend of [ill, other]) backend.note(unready, now())
    other.note(ready, now())
    assert.deepEqual(left(), ['idle', 'waiting'])
    ill.note(unready, now())
    assert.deepEqual(left(), ['idle'])
  })

  it('counts the grace from when there is somewhere else to go', () => {
    ill.note(closed, now())
    other.note(unready, now())
    assert.deepEqual(left(2 * GRACE_MS), ['idle', 'waiting'])
    other.note(ready, now() + 1)
    ill.note(closed, now() + 2)
    assert.deepEqual(left(2 * GRACE_MS), ['idle', 'waiting'])
    assert.deepEqual(left(3 * GRACE_MS), [])
  })
})
