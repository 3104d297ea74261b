import assert from 'node:assert/strict'
import { once } from 'node:events'
import { probeForEver, probeOnce, reasonOf, type ProbeResult } from '#pkg/component/prober/prober.ts'

const signal = new AbortController().signal

describe('probeOnce', () => {
  it('tells ready from not ready, with the reason', async () => {
    assert.deepEqual(await probeOnce({ ready: () => Promise.resolve() }, { signal }), { ready: true })
    const result = await probeOnce({ ready: () => Promise.reject(new Error('refused')) }, { signal })
    assert.equal(reasonOf(result), 'refused')
  })

  it('prefers the words of the component when time runs out', async () => {
    const hangs = {
      ready: async (inner: AbortSignal): Promise<void> => {
        await once(inner, 'abort')
        throw new Error('https://127.0.0.1:6443/readyz does not answer')
      },
    }
    assert.match(reasonOf(await probeOnce(hangs, { signal, timeoutMs: 20 })) ?? '', /readyz does not answer/)
  })

  it('does not wait for a component that ignores its signal', async () => {
    const hangs = { ready: (): Promise<void> => new Promise(() => undefined) }
    assert.equal(reasonOf(await probeOnce(hangs, { signal, timeoutMs: 20 })), 'no success within 20 ms')
  })
})

describe('probeForEver', () => {
  it('ends with its signal, also in the middle of a probe', async () => {
    const stop = new AbortController()
    const results: ProbeResult[] = []
    let probes = 0
    const component = {
      ready: (): Promise<void> => {
        probes += 1
        if (probes < 3) return Promise.resolve()
        stop.abort()
        return new Promise(() => undefined)
      },
    }
    await probeForEver(component, { signal: stop.signal, intervalMs: 1 }, (result) => results.push(result))
    assert.deepEqual(results, [{ ready: true }, { ready: true }])
  })
})
