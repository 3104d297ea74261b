import assert from 'node:assert/strict'
import { Compactor } from '#pkg/kine/compact/compactor.ts'
import { KeyIndex } from '#pkg/kine/index/key-index.ts'
import { Pins } from '#pkg/kine/read/pins.ts'
import { silentLogger } from '#pkg/log/logger.ts'

describe('Compactor', () => {
  it('does not prune a history that was put in the place of the one it was asked to prune', async () => {
    const pruned: number[] = []
    const begun = Promise.withResolvers<undefined>()
    const gate = Promise.withResolvers<undefined>()
    const dialect = {
      prune: async (through: number) => {
        pruned.push(through)
        begun.resolve(undefined)
        await gate.promise
        return { deleted: 0, done: through < 100 }
      },
    }
    const deps = { dialect, index: new KeyIndex(), pins: new Pins(), log: silentLogger }
    const compactor = new Compactor({ pruned: -1, graceMs: 0 }, deps)
    compactor.wake(100)
    await begun.promise
    // The database comes back from a backup while the old one is being pruned.
    compactor.restart(50)
    compactor.wake(50)
    gate.resolve(undefined)
    await compactor.idle()
    assert.deepEqual(pruned, [100, 50])
    await compactor.stop()
  })
})
