import { strict as assert } from 'node:assert'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { writeImageArchive } from '#pkg/oci/archive.ts'
import type { ImageOptions } from '#pkg/oci/archive.ts'

describe('writeImageArchive', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'oci-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function image(): Promise<ImageOptions> {
    const program = join(folder, 'program')
    await writeFile(program, 'a program'.repeat(1000))
    return {
      ref: 'k0s.local/app:v1',
      architecture: 'amd64',
      entrypoint: ['/usr/bin/app'],
      user: '65532:65532',
      files: [
        { kind: 'file', path: '/usr/bin/app', source: program },
        { kind: 'symlink', path: '/bin/app', target: '../usr/bin/app' },
        { kind: 'directory', path: '/tmp', mode: 0o1777 },
        { kind: 'file', path: '/etc/passwd', mode: 0o644, source: Buffer.from('app:x:65532:65532::/:/bin/app\n') },
      ],
    }
  }
  const tar = (...args: string[]): string =>
    execFileSync('tar', args, { encoding: 'utf8', env: { ...process.env, TZ: 'UTC' } })

  it('gives the same bytes every time, whatever the times and modes of its sources', async () => {
    const options = await image()
    const first = await writeImageArchive(options, join(folder, 'first.tar'))
    await utimes(join(folder, 'program'), new Date(0), new Date(0))
    const reordered = { ...options, files: options.files.toReversed() }
    const second = await writeImageArchive(reordered, join(folder, 'second.tar'))
    assert.deepEqual(await readFile(join(folder, 'first.tar')), await readFile(join(folder, 'second.tar')))
    assert.deepEqual(first, second)
    assert.equal(first.sizeBytes, (await readFile(join(folder, 'first.tar'))).length)
  })

  it('is an image layout whose blobs have the digests they are named by', async () => {
    const { digest } = await writeImageArchive(await image(), join(folder, 'app.tar'))
    tar('-xf', join(folder, 'app.tar'), '-C', folder)
    for (const name of await readdir(join(folder, 'blobs/sha256'))) {
      const content = await readFile(join(folder, 'blobs/sha256', name))
      assert.equal(createHash('sha256').update(content).digest('hex'), name)
    }
    const readJson = async (path: string): Promise<ReturnType<typeof JSON.parse>> =>
      JSON.parse(await readFile(join(folder, path), 'utf8'))
    const blob = (descriptor: { digest: string }) => readJson(`blobs/${descriptor.digest.replace(':', '/')}`)
    const index = await readJson('index.json')
    assert.equal(index.manifests[0].digest, digest)
    assert.equal(index.manifests[0].annotations['io.containerd.image.name'], 'k0s.local/app:v1')
    const manifest = await blob(index.manifests[0])
    const config = await blob(manifest.config)
    assert.equal(config.config.User, '65532:65532')
    assert.deepEqual(config.rootfs.diff_ids, [manifest.layers[0].digest])
  })

  it('has the files with their modes, parents before what is in them', async () => {
    await writeImageArchive(await image(), join(folder, 'app.tar'))
    tar('-xf', join(folder, 'app.tar'), '-C', folder)
    const index = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8'))
    const manifestPath = index.manifests[0].digest.replace(':', '/')
    const manifest = JSON.parse(await readFile(join(folder, 'blobs', manifestPath), 'utf8'))
    const listing = tar('-tvf', join(folder, 'blobs', manifest.layers[0].digest.replace(':', '/')), '--numeric-owner')
    const entries = listing
      .trim()
      .split('\n')
      .map((line) => line.replace(/ +\d+ 1970-01-01 00:00/, ''))
    assert.deepEqual(entries, [
      'drwxr-xr-x 0/0 bin/',
      'lrwxrwxrwx 0/0 bin/app -> ../usr/bin/app',
      'drwxr-xr-x 0/0 etc/',
      '-rw-r--r-- 0/0 etc/passwd',
      'drwxrwxrwt 0/0 tmp/',
      'drwxr-xr-x 0/0 usr/',
      'drwxr-xr-x 0/0 usr/bin/',
      '-rwxr-xr-x 0/0 usr/bin/app',
    ])
  })

  it('leaves nothing behind when a source cannot be read', async () => {
    const options = {
      ...(await image()),
      files: [{ kind: 'file', path: '/app', source: join(folder, 'absent') } as const],
    }
    await assert.rejects(writeImageArchive(options, join(folder, 'app.tar')), /ENOENT/)
    assert.deepEqual(await readdir(folder), ['program'])
  })

  it('refuses a path that is listed twice', async () => {
    const file = { kind: 'directory', path: '/tmp' } as const
    const options = { ...(await image()), files: [file, file] }
    await assert.rejects(writeImageArchive(options, join(folder, 'app.tar')), /listed twice/)
  })
})
