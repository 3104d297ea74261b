import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { Component } from '#pkg/component/component.ts'
import { fakeComponent } from '#pkg/component/manager/testing/fake-component.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { replaceOnHangup } from '#pkg/role/hangup.ts'

describe('SIGHUP to a controller', () => {
  const signals = new EventEmitter()
  const onHangup = (listener: () => void): (() => void) => {
    signals.on('SIGHUP', listener)
    return () => signals.off('SIGHUP', listener)
  }
  const deps = { onHangup, log: silentLogger }
  const others = ['etcd', 'kube-apiserver'].map((name) => fakeComponent(name, [], []))
  const server = (replace: () => Promise<void>): Component =>
    Object.assign(fakeComponent('konnectivity-server', [], []), { replace })

  it('replaces the tunnel server, and once more for signals that come meanwhile', async () => {
    let count = 0
    const replace = async (): Promise<void> => {
      count += 1
      await once(signals, 'replaced')
    }
    const following = replaceOnHangup([...others, server(replace)], deps)
    for (let i = 0; i < 3; i += 1) signals.emit('SIGHUP')
    assert.equal(count, 1)
    signals.emit('replaced')
    await until(() => count === 2, 'the second one')
    signals.emit('replaced')
    await until(() => signals.listenerCount('replaced') === 0, 'the end of it')
    assert.equal(count, 2)
    following[Symbol.dispose]()
  })

  it('goes on after one that failed, and not after its end', async () => {
    let count = 0
    const replace = (): Promise<void> => {
      count += 1
      return Promise.reject(new Error('the new one ended'))
    }
    const following = replaceOnHangup([...others, server(replace)], deps)
    signals.emit('SIGHUP')
    await new Promise(setImmediate)
    signals.emit('SIGHUP')
    assert.equal(count, 2)
    following[Symbol.dispose]()
    assert.equal(signals.listenerCount('SIGHUP'), 0)
  })

  it('has no effect where no tunnel server runs', () => {
    const following = replaceOnHangup(others, deps)
    signals.emit('SIGHUP')
    following[Symbol.dispose]()
  })
})
