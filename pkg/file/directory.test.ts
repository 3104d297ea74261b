import assert from 'node:assert/strict'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assertWritable, ensureDir } from '#pkg/file/directory.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'

describe('ensureDir', () => {
  it('makes the directory with its parents and corrects the mode of one that exists', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'a', 'b')
    await ensureDir(path, { mode: 0o700 })
    assert.equal((await stat(path)).mode & 0o7777, 0o700)
    await ensureDir(path, { mode: 0o751 })
    assert.equal((await stat(path)).mode & 0o7777, 0o751)
  })

  it('says when a file is in the way', async () => {
    await using dir = await tempDir()
    await writeFile(join(dir.path, 'file'), '')
    const path = join(dir.path, 'file', 'sub')
    await assert.rejects(ensureDir(path, { mode: 0o755 }), {
      message: `cannot create ${path}: a part of the path is a file, not a directory`,
    })
  })
})

describe('assertWritable', () => {
  it('accepts a writable directory and leaves nothing in it', async () => {
    await using dir = await tempDir()
    await assertWritable(dir.path)
    assert.deepEqual(await readdir(dir.path), [])
  })

  it('refuses a file system that takes no files, even for root', async () => {
    await assert.rejects(assertWritable('/proc/sys'), { code: 'ERR_FILE', path: '/proc/sys' })
  })
})
