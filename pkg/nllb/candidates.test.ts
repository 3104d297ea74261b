import assert from 'node:assert/strict'
import { Backend } from '#pkg/nllb/backend.ts'
import { candidates } from '#pkg/nllb/candidates.ts'

describe('candidates', () => {
  it('are those that are ready by turns, then by turns the others, those last that take no connection', () => {
    const backends = [1, 2, 3, 4, 5].map((i) => new Backend({ host: `192.0.2.${i}`, port: 6443 }))
    const [a, b, c, d] = backends
    a!.note({ health: 'closed', reason: 'refused' }, 0)
    b!.note({ health: 'ready' }, 0)
    c!.note({ health: 'unready', reason: 'etcd' }, 0)
    d!.note({ health: 'ready' }, 0)
    const hosts = (turn: number): string =>
      candidates(backends, turn)
        .map(({ name }) => backends.findIndex((each) => each.name === name))
        .join('')
    assert.equal(hosts(0), '13240')
    assert.equal(hosts(1), '31420')
    assert.deepEqual(candidates([], 7), [])
  })
})
