import assert from 'node:assert/strict'
import { lstat, mkdir, readdir, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assertWritable, ensureDir, ensureOwnedDir } from '#pkg/file/directory.ts'
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

describe('ensureOwnedDir', () => {
  it('gives everything below to the user, and follows no link', async function () {
    if (process.getuid?.() !== 0) this.skip() // only root gives files away
    await using dir = await tempDir()
    const outside = join(dir.path, 'outside')
    await writeFile(outside, '')
    const path = join(dir.path, 'etcd')
    await mkdir(join(path, 'member/wal'), { recursive: true, mode: 0o700 })
    await writeFile(join(path, 'member/wal/0.wal'), '')
    await symlink(outside, join(path, 'link'))
    await ensureOwnedDir(path, { mode: 0o700, uid: 4711, gid: 4712 })
    for (const name of ['.', 'member', 'member/wal', 'member/wal/0.wal', 'link']) {
      const { uid, gid } = await lstat(join(path, name))
      assert.deepEqual([uid, gid], [4711, 4712], name)
    }
    assert.equal((await stat(outside)).uid, 0)
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
