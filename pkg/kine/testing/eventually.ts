import assert from 'node:assert/strict'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Resolves once `check` holds; fails with `what` when it does not for ten seconds. */
export async function eventually(what: string, check: () => unknown): Promise<void> {
  for (let tries = 0; !((await check()) as boolean); tries += 1) {
    assert.ok(tries < 500, `never: ${what}`)
    await sleep(20)
  }
}
