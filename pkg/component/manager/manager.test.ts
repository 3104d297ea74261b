import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Component } from '#pkg/component/component.ts'
import { ComponentManager, type ManagerOptions } from '#pkg/component/manager/manager.ts'
import type { ComponentStatus } from '#pkg/component/manager/state.ts'
import { fakeComponent } from '#pkg/component/manager/testing/fake-component.ts'
import { K0sError } from '#pkg/errors/error.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import { recordingLogger } from '#pkg/supervisor/testing/recording-logger.ts'

const signal = new AbortController().signal
const log = recordingLogger()

function manage(components: readonly Component[], options: Partial<ManagerOptions> = {}): ComponentManager {
  return new ComponentManager({ components, readyTimeoutMs: 5_000, ...options }, { log })
}

const states = (manager: ComponentManager): Record<string, string> =>
  Object.fromEntries(manager.status().map(({ name, state }) => [name, state]))
const statusOf = (manager: ComponentManager, name: string): ComponentStatus =>
  manager.status().find((status) => status.name === name)!
const aborted = async (inner: AbortSignal): Promise<never> => {
  if (!inner.aborted) await once(inner, 'abort')
  throw inner.reason as Error
}

describe('ComponentManager', () => {
  it('starts in parallel what the graph allows, and stops in reverse', async () => {
    const calls: string[] = []
    const together = Promise.withResolvers<undefined>()
    const both = new Set<string>()
    // Resolves only when both run at the same time.
    const meet = (name: string) => async (): Promise<void> => {
      if (both.add(name).size === 2) together.resolve(undefined)
      await together.promise
    }
    const manager = manage([
      fakeComponent('api', ['etcd', 'tunnel'], calls),
      fakeComponent('etcd', ['certs'], calls, { start: meet('etcd') }),
      fakeComponent('tunnel', ['certs'], calls, { start: meet('tunnel') }),
      fakeComponent('certs', [], calls),
    ])
    await manager.start(signal)
    assert.deepEqual(states(manager), { certs: 'ready', etcd: 'ready', tunnel: 'ready', api: 'ready' })
    assert.deepEqual(calls.slice(0, 2), ['start certs', 'ready certs'])
    assert.deepEqual(calls.slice(-2), ['start api', 'ready api'])
    calls.length = 0
    await manager.stop()
    assert.deepEqual([calls[0], calls[3]], ['stop api', 'stop certs'])
    assert.equal(calls.length, 4)
    await manager.stop() // idempotent
    assert.equal(calls.length, 4)
    await manager.start(signal) // and can be started again
    await manager.stop()
  })

  it('polls until ready, and says meanwhile who waits for what and why', async () => {
    const gate = Promise.withResolvers<undefined>()
    let reason: string | undefined = 'connection refused'
    const manager = manage([
      fakeComponent('etcd', [], [], {
        ready: () => (reason === undefined ? Promise.resolve() : Promise.reject(new Error(reason))),
      }),
      fakeComponent('other', [], [], { start: () => gate.promise.then(() => undefined) }),
      fakeComponent('api', ['etcd', 'other'], []),
    ])
    const started = manager.start(signal)
    while (statusOf(manager, 'etcd').reason !== 'connection refused') await sleep(5)
    assert.equal(statusOf(manager, 'etcd').state, 'not-ready')
    assert.deepEqual(statusOf(manager, 'api').waitingFor, ['etcd', 'other'])
    gate.resolve(undefined)
    reason = undefined
    await started
    assert.deepEqual(statusOf(manager, 'api').waitingFor, [])
    assert.deepEqual(
      statusOf(manager, 'etcd').events.map(({ state }) => state),
      ['waiting', 'starting', 'not-ready', 'ready'],
    )
    assert.ok(log.lines.some(({ message, fields }) => message === 'component ready' && fields['component'] === 'api'))
    await manager.stop()
  })

  it('keeps the last reason when a component does not become ready in time, and rolls back', async () => {
    const calls: string[] = []
    const manager = manage(
      [
        fakeComponent('certs', [], calls),
        fakeComponent('etcd', ['certs'], calls, { ready: () => Promise.reject(new Error('disk is slow')) }),
        fakeComponent('api', ['etcd'], calls),
      ],
      { readyTimeoutMs: 100 },
    )
    await assert.rejects(manager.start(signal), {
      code: 'ERR_COMPONENT_NOT_READY',
      message: 'etcd is not ready after 0.1 s: disk is slow',
    })
    assert.deepEqual(calls, ['start certs', 'ready certs', 'start etcd', 'stop etcd', 'stop certs'])
    assert.deepEqual(states(manager), { certs: 'stopped', etcd: 'stopped', api: 'stopped' })
    assert.equal(
      statusOf(manager, 'etcd').events.find(({ state }) => state === 'failed')!.reason,
      'etcd is not ready after 0.1 s: disk is slow',
    )
  })

  it('stops what was begun when a start fails, the failing component included, and cuts off the others', async () => {
    const calls: string[] = []
    const cutOff: unknown[] = []
    const manager = manage([
      fakeComponent('slow', [], calls, {
        start: (context) => aborted(context.signal).catch((err: unknown) => void cutOff.push(err)),
      }),
      fakeComponent('port', [], calls, { start: () => Promise.reject(new Error('port 6443 is in use')) }),
      fakeComponent('later', ['slow'], calls),
    ])
    await assert.rejects(manager.start(signal), {
      code: 'ERR_COMPONENT_FAILED',
      message: 'cannot start port: port 6443 is in use',
      component: 'port',
    })
    assert.match(String(cutOff[0]), /cannot start port/)
    assert.deepEqual(calls.toSorted(), ['start port', 'start slow', 'stop port', 'stop slow'])
  })

  it('does not wait for the time limit of a crash loop', async () => {
    class CrashLoop extends K0sError {
      override readonly code = 'ERR_PROCESS_CRASH_LOOP'
    }
    const ready = (): Promise<never> => Promise.reject(new CrashLoop('its process ended 7 times'))
    const manager = manage([fakeComponent('api', [], [], { ready })], { readyTimeoutMs: 600_000 })
    await assert.rejects(manager.start(signal), { message: 'cannot start api: its process ended 7 times' })
  })

  it('rolls back when its signal aborts, with the reason of that', async () => {
    const calls: string[] = []
    const abort = new AbortController()
    const reason = new Error('SIGTERM')
    const manager = manage([fakeComponent('a', [], calls), fakeComponent('b', ['a'], calls, { ready: aborted })])
    const started = manager.start(abort.signal)
    while (states(manager)['b'] !== 'not-ready') await sleep(5)
    abort.abort(reason)
    await assert.rejects(started, reason)
    assert.deepEqual(calls.slice(-2), ['stop b', 'stop a'])
    const never = manage([fakeComponent('a', [], calls)])
    await assert.rejects(never.start(abort.signal), reason)
  })

  it('can be stopped while it starts', async () => {
    const calls: string[] = []
    const manager = manage([fakeComponent('a', [], calls, { start: (context) => aborted(context.signal) })])
    const started = manager.start(signal)
    const failed = assert.rejects(started, { message: 'stopped while starting' })
    while (states(manager)['a'] !== 'starting') await sleep(5)
    await manager.stop()
    await failed
    assert.deepEqual(calls, ['start a', 'stop a'])
  })

  it('stops everything else when one component does not stop', async () => {
    const calls: string[] = []
    const manager = manage([
      fakeComponent('a', [], calls),
      fakeComponent('b', ['a'], calls, { stop: () => Promise.reject(new Error('device busy')) }),
    ])
    await manager.start(signal)
    await assert.rejects(manager.stop(), { code: 'ERR_COMPONENT_STOP', message: 'cannot stop b: device busy' })
    assert.deepEqual(states(manager), { a: 'stopped', b: 'failed' })
    assert.equal(statusOf(manager, 'b').reason, 'did not stop: device busy')
  })

  it('keeps probing what runs', async () => {
    let reason: string | undefined
    const ready = (): Promise<void> => (reason === undefined ? Promise.resolve() : Promise.reject(new Error(reason)))
    const component = { ...fakeComponent('api', [], [], { ready }), restarts: 3, warnings: ['a slow disk'] }
    const manager = manage([component], { probeIntervalMs: 5 })
    await manager.start(signal)
    reason = 'connection refused'
    while (statusOf(manager, 'api').state !== 'not-ready') await sleep(5)
    assert.equal(statusOf(manager, 'api').reason, 'connection refused')
    assert.equal(statusOf(manager, 'api').restarts, 3)
    assert.deepEqual(statusOf(manager, 'api').warnings, ['a slow disk'])
    reason = undefined
    while (statusOf(manager, 'api').state !== 'ready') await sleep(5)
    assert.equal(statusOf(manager, 'api').reason, undefined)
    await manager.stop()
  })

  it('prints its graph as text and as data', () => {
    const manager = manage([fakeComponent('b', ['a'], []), fakeComponent('a', [], [])])
    assert.equal(manager.graph(), '1  a\n2  b  after a\n')
    assert.deepEqual(JSON.parse(manager.graph('json')), [
      { name: 'a', after: [], step: 1 },
      { name: 'b', after: ['a'], step: 2 },
    ])
  })
})
