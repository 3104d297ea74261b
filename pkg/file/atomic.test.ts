import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { FileError } from '#pkg/file/errors.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'

describe('writeFileAtomic', function () {
  this.timeout(30_000) // a real file system, also on a loaded machine

  it('writes content and mode whatever the umask is', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'a')
    assert.equal(await writeFileAtomic(path, 'one', { mode: 0o666 }), true)
    assert.equal(await readFile(path, 'utf8'), 'one')
    assert.equal((await stat(path)).mode & 0o7777, 0o666)
    assert.deepEqual(await readdir(dir.path), ['a'])
  })

  it('leaves a file alone that is right already, and corrects mode and content', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'a')
    await writeFileAtomic(path, 'one', { mode: 0o600 })
    const { ino } = await stat(path)
    assert.equal(await writeFileAtomic(path, Buffer.from('one'), { mode: 0o600 }), false)
    assert.equal((await stat(path)).ino, ino)
    await chmod(path, 0o644)
    assert.equal(await writeFileAtomic(path, 'one', { mode: 0o600 }), true)
    assert.equal(await writeFileAtomic(path, 'two', { mode: 0o600 }), true)
    assert.equal(await readFile(path, 'utf8'), 'two')
  })

  it('names path and reason, and leaves nothing behind, when it cannot write', async () => {
    await using dir = await tempDir()
    const path = join(dir.path, 'missing', 'a')
    await assert.rejects(writeFileAtomic(path, 'x', { mode: 0o600 }), (err: unknown) => {
      assert.ok(err instanceof FileError)
      assert.equal(err.message, `cannot write ${path}: no such file or directory`)
      assert.equal(err.errno, 'ENOENT')
      return true
    })
    await mkdir(join(dir.path, 'occupied', 'sub'), { recursive: true })
    await assert.rejects(writeFileAtomic(join(dir.path, 'occupied'), 'x', { mode: 0o600 }), { code: 'ERR_FILE' })
    assert.deepEqual(await readdir(dir.path), ['occupied'])
  })

  it('keeps the old file and no temporary one on a full disk', async () => {
    await using dir = await tempDir()
    // A namespace of its own: the mount ends with the process, whatever happens.
    const isolate = process.getuid?.() === 0 ? ['--mount'] : ['--map-root-user', '--mount']
    const script = join(import.meta.dirname, 'testing', 'fill-disk.ts')
    const mount = 'mount -t tmpfs -o size=64k none "$2" && exec "$0" "$1" "$2"'
    const command = ['sh', '-c', mount, process.execPath, script, dir.path]
    const { stdout } = await promisify(execFile)('unshare', [...isolate, ...command])
    assert.deepEqual(JSON.parse(stdout), {
      message: `cannot write ${dir.path}/state.json: disk full; free some space on its file system and try again`,
      content: 'old',
      files: ['state.json'],
    })
  })
})

describe('readIfExists', () => {
  it('tells a missing file from an unreadable one', async () => {
    await using dir = await tempDir()
    await writeFile(join(dir.path, 'a'), 'text')
    assert.equal(await readIfExists(join(dir.path, 'a')), 'text')
    assert.equal(await readIfExists(join(dir.path, 'b')), undefined)
    await assert.rejects(readIfExists(dir.path), { message: `cannot read ${dir.path}: it is a directory, not a file` })
  })
})
