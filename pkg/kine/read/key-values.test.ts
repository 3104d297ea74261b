import assert from 'node:assert/strict'
import type { KeyVersion, RowId } from '#pkg/kine/backend.ts'
import { KeyValues } from '#pkg/kine/read/key-values.ts'
import { Ring } from '#pkg/kine/ring/ring.ts'
import { newRow } from '#pkg/kine/testing/batches.ts'
import { valueOf } from '#pkg/kine/wire/key-value.ts'

describe('KeyValues', () => {
  it('does not remember what was being read when it was cleared', async () => {
    const answers: PromiseWithResolvers<ReadonlyMap<RowId, Buffer>>[] = []
    const readValues = (): Promise<ReadonlyMap<RowId, Buffer>> => {
      const answer = Promise.withResolvers<ReadonlyMap<RowId, Buffer>>()
      answers.push(answer)
      return answer.promise
    }
    const ring = new Ring({ maxBytes: 1000 }, 1)
    const keyValues = new KeyValues({ maxCacheBytes: 100_000 }, { ring, dialect: { readValues } })
    const read = async (version: KeyVersion, value: string): Promise<string> => {
      const loading = keyValues.load([version])
      for (let turns = 0; answers.length === 0 && turns < 5; turns += 1) await Promise.resolve()
      answers.shift()?.resolve(new Map([[version.id, Buffer.from(value)]]))
      return String(valueOf((await loading)[0] ?? Buffer.alloc(0)))
    }
    const { now } = newRow(2, 'a')
    const before = keyValues.load([now])
    while (answers.length === 0) await Promise.resolve()
    // Another history takes the place of this one, with another row of this id.
    keyValues.clear()
    answers.shift()?.resolve(new Map([[now.id, Buffer.from('old')]]))
    await before
    assert.equal(await read(now, 'new'), 'new')
    assert.equal(await read(now, 'not read'), 'new')
  })
})
