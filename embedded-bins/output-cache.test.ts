import { strict as assert } from 'node:assert'
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { OutputCache } from '#embedded-bins/output-cache.ts'

const KEY = 'a'.repeat(40)
const OTHER_KEY = 'b'.repeat(40)

describe('OutputCache', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'output-cache-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  const checkout = (name: string): OutputCache =>
    new OutputCache({ stagingDir: join(folder, name), cacheDir: join(folder, 'cache') })
  async function build(cache: OutputCache, content: string, key = KEY): Promise<void> {
    const path = cache.temporaryPath('bin/app')
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, content)
    await cache.store('app', 'bin/app', key)
  }

  it('knows an output until its key or the file changes', async () => {
    const cache = checkout('one')
    assert.equal(await cache.current('app', 'bin/app', KEY), undefined)
    await build(cache, 'content')
    assert.notEqual(await cache.current('app', 'bin/app', KEY), undefined)
    assert.equal(await cache.current('app', 'bin/app', OTHER_KEY), undefined)
    await writeFile(join(folder, 'one/bin/app'), 'changed by hand')
    assert.equal(await cache.current('app', 'bin/app', KEY), undefined)
  })

  it('gives another checkout the same file', async () => {
    await build(checkout('one'), 'content')
    const other = checkout('two')
    assert.notEqual(await other.restore('app', 'bin/app', KEY), undefined)
    assert.equal(await readFile(join(folder, 'two/bin/app'), 'utf8'), 'content')
    assert.equal(await other.restore('app', 'bin/app', OTHER_KEY), undefined)
  })

  it('drops an entry that is not what was put there', async () => {
    await build(checkout('one'), 'content')
    await writeFile(join(folder, 'cache', `app-${KEY}`, 'file'), 'damaged')
    assert.equal(await checkout('two').restore('app', 'bin/app', KEY), undefined)
    assert.deepEqual(await readdir(join(folder, 'cache')), [])
  })

  it('keeps a few outputs of each step, not all', async () => {
    for (const digit of ['1', '2', '3', '4', '5']) await build(checkout('one'), digit, digit.repeat(40))
    assert.equal((await readdir(join(folder, 'cache'))).length, 3)
  })
})
