import assert from 'node:assert/strict'
import { inRange } from '#pkg/kine/keys.ts'
import { Router } from '#pkg/kine/watch/router.ts'

const b = (text: string): Buffer => Buffer.from(text)

describe('Router', () => {
  it('finds exactly the watchers whose range holds the key', () => {
    const ranges: [string, string | undefined][] = [
      ['/registry/pods/default/a', undefined],
      ['/registry/pods/', '/registry/pods0'],
      ['/registry/pods/default/', '/registry/pods/default0'],
      ['/registry/', '/registry0'],
      ['/registry/pod', '/registry/poe'],
      ['/', '0'],
      ['a', 'z'],
      ['\0', ''],
    ]
    const watchers = ranges.map(([start, end]) => ({
      range: { start: b(start), end: end === undefined ? end : b(end) },
    }))
    const router = new Router<(typeof watchers)[number]>()
    for (const watcher of watchers) router.add(watcher)
    const keys = [
      '/registry/pods/default/a',
      '/registry/pods/default/ab',
      '/registry/pods/x',
      '/registry/podsx',
      'b',
      '/',
      '~',
    ]
    for (const key of keys) {
      const found = new Set<object>()
      router.match(b(key), (watcher) => found.add(watcher).size > 0)
      const expected = watchers.filter(({ range }) => inRange(b(key), range))
      assert.deepEqual(found, new Set(expected), key)
    }
    for (const watcher of watchers) router.delete(watcher)
    router.match(b(keys[0]!), () => assert.fail('nobody is left'))
  })

  it('stops when asked to', () => {
    const router = new Router<{ range: { start: Buffer } }>()
    for (let i = 0; i < 3; i += 1) router.add({ range: { start: b('k') } })
    let visits = 0
    router.match(b('k'), () => {
      visits += 1
      return visits < 2
    })
    assert.equal(visits, 2)
  })
})
