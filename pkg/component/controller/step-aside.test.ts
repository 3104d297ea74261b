import assert from 'node:assert/strict'
import { mock } from 'node:test'
import { describe, it } from 'mocha'
import { StepAside } from '#pkg/component/controller/step-aside.ts'
import { silentLogger } from '#pkg/log/logger.ts'

describe('an API server whose store does not serve', () => {
  afterEach(() => mock.timers.reset())

  /** With a clock of its own; `pass` lets seconds go by. */
  function make(state: { store: boolean; other: boolean; others?: boolean }) {
    mock.timers.enable({ apis: ['setTimeout'] })
    const now = mock.method(performance, 'now', () => clock)
    let clock = 0
    const calls: string[] = []
    const inner = {
      name: 'kube-apiserver',
      after: ['etcd'],
      start: () => Promise.resolve(void calls.push('start')),
      ready: () => Promise.resolve(),
      stop: () => Promise.resolve(void calls.push('stop')),
    }
    const component = new StepAside(inner, {
      storeServes: () => (state.store ? Promise.resolve() : Promise.reject(new Error('etcd does not answer'))),
      anotherServes: () => (state.other ? Promise.resolve() : Promise.reject(new Error('nobody'))),
      hasOthers: () => state.others ?? true,
    })
    const pass = async (seconds: number): Promise<void> => {
      for (let i = 0; i < seconds * 10; i += 1) {
        clock += 100
        mock.timers.tick(100)
        for (let turn = 0; turn < 20; turn += 1) await Promise.resolve()
      }
    }
    const start = (): Promise<void> => component.start({ signal: new AbortController().signal, log: silentLogger })
    const end = async (): Promise<void> => {
      const stopping = component.stop()
      await pass(1)
      await stopping
      now.mock.restore()
    }
    return { component, calls, pass, start, end }
  }
  const signal = new AbortController().signal

  it('ends, so that its clients move, and comes back with its store', async () => {
    const state = { store: true, other: true }
    const { component, calls, pass, start, end } = make(state)
    await start()
    await pass(20)
    assert.deepEqual(calls, ['start'])
    state.store = false
    await pass(10)
    assert.deepEqual(calls, ['start', 'stop'])
    await assert.rejects(component.ready(signal), /stepped aside, another controller serves: etcd does not answer/)
    state.store = true
    await pass(5)
    assert.deepEqual(calls, ['start', 'stop', 'start'])
    await component.ready(signal)
    await end()
  })

  it('goes on through a moment without it, such as an election', async () => {
    const state = { store: true, other: true }
    const { calls, pass, start, end } = make(state)
    await start()
    await pass(3)
    state.store = false
    await pass(3)
    state.store = true
    await pass(20)
    assert.deepEqual(calls, ['start'])
    await end()
  })

  it('goes on when it is whole again a moment after the links to the others', async () => {
    const state = { store: false, other: false }
    const { calls, pass, start, end } = make(state)
    await start()
    await pass(30)
    state.other = true
    await pass(3)
    state.store = true
    await pass(20)
    assert.deepEqual(calls, ['start'])
    await end()
  })

  it('goes on where nobody else serves', async () => {
    for (const state of [
      { store: false, other: false },
      { store: false, other: true, others: false },
    ]) {
      const { calls, pass, start, end } = make(state)
      await start()
      await pass(60)
      assert.deepEqual(calls, ['start'])
      await end()
      mock.timers.reset()
    }
  })
})
