import assert from 'node:assert/strict'
import { Duplex } from 'node:stream'
import { Splice } from '#konnectivity/tunnel/splice.ts'
import { until } from '#pkg/lifecycle/testing/until.ts'

/** One end whose source and sink the test holds: `received` is what the splice wrote to it. */
class End extends Duplex {
  readonly received: Buffer[] = []
  blocked: (() => void) | undefined
  blocking = false

  constructor() {
    super({ allowHalfOpen: true, highWaterMark: 1024 })
  }

  override _read(): void {
    // The test pushes.
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.received.push(chunk)
    if (this.blocking) this.blocked = done
    else done()
  }

  unblock(): void {
    this.blocking = false
    this.blocked?.()
  }
}

const LINGER_MS = 50
const text = (end: End): string => Buffer.concat(end.received).toString()

describe('Splice', function () {
  this.timeout(60_000) // also on a loaded machine
  function join(options: { holdBackMs?: number; lingerMs?: number } = {}): { front: End; back: End; splice: Splice } {
    const [front, back] = [new End(), new End()]
    return { front, back, splice: new Splice(front, back, { lingerMs: LINGER_MS, ...options }) }
  }

  it('copies both ways and ends when both have ended', async () => {
    const { front, back, splice } = join()
    front.push('to back')
    back.push('to front')
    front.push(null)
    back.push(null)
    assert.equal(await splice.closed, undefined)
    assert.deepEqual([text(back), text(front)], ['to back', 'to front'])
    assert.deepEqual([splice.counters.forward, splice.counters.backward], [7, 8])
  })

  it('goes on in one direction after the other has ended, until it is silent', async () => {
    const lingerMs = 1_000
    const { front, back, splice } = join({ lingerMs })
    front.push(null)
    await until(() => back.writableFinished, 'the end is passed on')
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, lingerMs / 4))
      back.push('x')
    }
    assert.equal(await splice.closed, undefined)
    assert.equal(text(front), 'xxxxx')
  })

  it('delivers everything to a slow sink although the source is gone', async () => {
    const { front, back, splice } = join()
    front.blocking = true
    back.push(Buffer.alloc(10_000))
    back.push(null)
    back.end()
    await new Promise((resolve) => setTimeout(resolve, LINGER_MS * 3))
    assert.equal(front.destroyed, false)
    front.unblock()
    await splice.closed
    assert.equal(Buffer.concat(front.received).length, 10_000)
  })

  it('stops the source of a blocked sink, and only that', async () => {
    const { front, back, splice } = join()
    back.blocking = true
    for (let i = 0; i < 100; i += 1) front.push(Buffer.alloc(8 * 1024))
    back.push('still flows')
    await until(() => text(front) === 'still flows', 'the other direction flows')
    assert.ok(back.writableLength < 512 * 1024, `${back.writableLength} bytes queued`)
    splice.destroy()
    await splice.closed
  })

  it('ends the other side when one fails, and says why', async () => {
    const { front, back, splice } = join()
    back.destroy(new Error('reset'))
    assert.equal((await splice.closed)?.message, 'reset')
    assert.equal(front.destroyed, true)
  })

  it('ends the other side when one vanishes without its end', async () => {
    const { front, back, splice } = join()
    front.destroy()
    await splice.closed
    assert.equal(back.destroyed, true)
  })

  it('settles when an end was gone before', async () => {
    const [front, back] = [new End(), new End()]
    front.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    await new Splice(front, back, { lingerMs: LINGER_MS }).closed
    assert.equal(back.destroyed, true)
  })

  it('holds the back end until the front has sent, or for the time given', async () => {
    const { front, back, splice } = join({ holdBackMs: 10_000 })
    back.push('hello')
    await new Promise((resolve) => setTimeout(resolve, 20))
    assert.equal(text(front), '')
    front.push('x')
    await until(() => text(front) === 'hello', 'the back end is let go')
    splice.destroy()
    await splice.closed
    const other = join({ holdBackMs: 20 })
    other.back.push('hello')
    await until(() => text(other.front) === 'hello', 'the back end is let go in time')
    other.splice.destroy()
    await other.splice.closed
  })
})
