import { strict as assert } from 'node:assert'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { holdersOf } from '#pkg/kine/dialect/sqlite/file-holders.ts'

describe('holdersOf', () => {
  it('finds the other processes that have a file open', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'holders-'))
    const own = await open(join(dir, 'state.db'), 'w')
    const other = await open(join(dir, 'other.db'), 'w')
    const child = spawn('cat', { stdio: ['pipe', 'inherit', 'inherit', own.fd] })
    try {
      await once(child, 'spawn')
      assert.deepEqual(await holdersOf(join(dir, 'state.db')), [child.pid])
      assert.deepEqual(await holdersOf(join(dir, 'other.db')), [])
    } finally {
      child.stdin?.end()
      await once(child, 'exit')
      await Promise.all([own.close(), other.close()])
      await rm(dir, { recursive: true, force: true })
    }
  })
})
