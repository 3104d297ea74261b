import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { createBinaries, type Binaries } from '#pkg/assets/binaries.ts'
import { AssetError } from '#pkg/assets/errors.ts'
import { imageArchives } from '#pkg/assets/images.ts'
import { bundledLayout } from '#pkg/assets/layout.ts'
import { readManifest } from '#pkg/assets/manifests.ts'
import { isPublic } from '#pkg/assets/public-path.ts'
import { canLink, stageFile } from '#pkg/assets/stage-file.ts'

const uid = process.getuid!()

describe('assets', () => {
  let dir: string
  let lib: string
  let binDir: string
  let binaries: Binaries

  /** A product of small files, as `make bundle` lays it out. */
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-assets-'))
    lib = join(dir, 'lib')
    binDir = join(dir, 'data', 'bin')
    for (const folder of ['bin', 'k0s/compile-cache', 'manifests', 'config/manifests/dns', 'images']) {
      await mkdir(join(lib, folder), { recursive: true })
    }
    await writeFile(join(lib, 'node'), 'node', { mode: 0o755 })
    await writeFile(join(lib, 'bin', 'kube'), 'kube', { mode: 0o755 })
    await writeFile(join(lib, 'bin', 'etcd'), 'etcd', { mode: 0o755 })
    await writeFile(
      join(lib, 'bins.json'),
      '{"kubelet":{"file":"kube"},"kubectl":{"file":"kube"},"etcd":{"file":"etcd"}}',
    )
    await writeFile(join(lib, 'k0s', 'main.mjs'), 'main')
    await writeFile(join(lib, 'k0s', 'main.mjs.map'), 'map')
    await writeFile(join(lib, 'k0s', 'compile-cache', 'x'), 'cache')
    const layout = bundledLayout(join(lib, 'k0s'))
    binaries = createBinaries({ binDir, layout, uid, node: join(lib, 'node') })
  })
  afterEach(() => rm(dir, { recursive: true }))

  const inode = async (path: string): Promise<number> => (await stat(path)).ino

  it('stages by hard link, all names of a program on one inode', async () => {
    const [kubelet, kubectl, etcd] = await Promise.all(['kubelet', 'kubectl', 'etcd'].map((n) => binaries.stage(n)))
    assert.equal(kubelet, join(binDir, 'kubelet'))
    assert.equal(await inode(kubelet), await inode(join(lib, 'bin', 'kube')))
    assert.equal(await inode(kubectl!), await inode(kubelet))
    assert.equal(basename(etcd!), 'etcd')
    assert.equal((await stat(kubelet)).mode & 0o777, 0o755)
    assert.equal((await stat(binDir)).mode & 0o777, 0o755)
  })

  it('makes one copy for components that start together, also beside another process', async () => {
    await chmod(join(lib, 'bin', 'kube'), 0o700) // not as it has to be: copied, not linked
    const layout = bundledLayout(join(lib, 'k0s'))
    for (let round = 0; round < 50; round += 1) {
      const another = createBinaries({ binDir, layout, uid, node: join(lib, 'node') })
      const staged = [binaries, another].flatMap((each) => ['kubelet', 'kubectl'].map((name) => each.stage(name)))
      for (const path of await Promise.all(staged)) assert.equal(await readFile(path, 'utf8'), 'kube')
      await rm(binDir, { recursive: true })
    }
  })

  it('stages elsewhere on demand', async () => {
    const directory = join(dir, 'cni')
    assert.equal(await binaries.stage('etcd', { directory }), join(directory, 'etcd'))
  })

  it('repairs what was changed, and leaves the rest alone', async () => {
    const path = await binaries.stage('etcd')
    await rm(path)
    await writeFile(path, 'not etcd', { mode: 0o755 })
    await binaries.stage('etcd')
    assert.equal(await readFile(path, 'utf8'), 'etcd')
    const before = await stat(path)
    await binaries.stage('etcd')
    assert.equal((await stat(path)).ctimeMs, before.ctimeMs)
  })

  it('survives many callers at once and leaves nothing half-written', async () => {
    await Promise.all(Array.from({ length: 50 }, (_, i) => binaries.stage(i % 2 === 0 ? 'kubelet' : 'etcd')))
    assert.deepEqual((await readdir(binDir)).sort(), ['etcd', 'kube', 'kubelet'])
  })

  it('copies what others could write, and recognises its copy', async () => {
    const [source, target] = [join(lib, 'bin', 'etcd'), join(dir, 'copy')]
    await chmod(source, 0o777)
    assert.equal(await canLink(source, dir), true)
    await stageFile(source, target, { mode: 0o755, uid })
    assert.notEqual(await inode(target), await inode(source))
    assert.equal((await stat(target)).mode & 0o777, 0o755)
    const copied = await inode(target)
    await stageFile(source, target, { mode: 0o755, uid })
    assert.equal(await inode(target), copied)
    await utimes(source, new Date(), new Date(Date.now() + 5_000))
    await stageFile(source, target, { mode: 0o755, uid })
    assert.notEqual(await inode(target), copied)
  })

  it('stages the product itself for children, without stale modules', async () => {
    await mkdir(join(binDir, 'k0s'), { recursive: true })
    await writeFile(join(binDir, 'k0s', 'old.mjs'), 'old')
    const { path, args } = await binaries.self('kine', ['--endpoint=x'])
    assert.equal(path, join(binDir, 'node'))
    assert.equal(await readFile(path, 'utf8'), 'node')
    assert.deepEqual(args.slice(-3), [join(binDir, 'k0s', 'main.mjs'), 'kine', '--endpoint=x'])
    assert.deepEqual((await readdir(join(binDir, 'k0s'))).sort(), ['compile-cache', 'main.mjs'])
    assert.equal((await stat(join(binDir, 'k0s', 'main.mjs'))).mode & 0o777, 0o644)
  })

  it('knows what every user can read', async () => {
    const file = join(lib, 'k0s', 'main.mjs')
    assert.equal(await isPublic(file), false, 'mkdtemp makes folders of mode 0700')
    await chmod(dir, 0o755)
    assert.equal(await isPublic(file), true)
    await chmod(file, 0o640)
    assert.equal(await isPublic(file), false)
  })

  it('says what is missing and what to do', async () => {
    await assert.rejects(binaries.stage('crictl'), (err: unknown) => {
      assert.ok(err instanceof AssetError)
      assert.match(err.message, /no executable "crictl"/)
      return true
    })
    await rm(join(lib, 'bins.json'))
    const layout = bundledLayout(join(lib, 'k0s'))
    await assert.rejects(createBinaries({ binDir, layout }).stage('etcd'), /bins\.json.*run "make"/)
    await assert.rejects(readManifest('none.yaml', layout), /has no manifest none\.yaml/)
    await assert.rejects(imageArchives(lib), /images\.json/)
  })

  it('finds manifests of config/ and generated ones, and images', async () => {
    const layout = bundledLayout(join(lib, 'k0s'))
    await writeFile(join(lib, 'config', 'manifests', 'dns', 'a.yaml'), 'a')
    await writeFile(join(lib, 'manifests', 'calico-crds.yaml'), 'crds')
    assert.equal(await readManifest('dns/a.yaml', layout), 'a')
    assert.equal(await readManifest('calico-crds.yaml', layout), 'crds')
    await writeFile(join(lib, 'images', 'pause.tar'), '')
    const table = { pause: { ref: 'r:1', file: 'images/pause.tar' }, later: { ref: 'r:2', file: 'images/later.tar' } }
    await writeFile(join(lib, 'images.json'), JSON.stringify(table))
    assert.deepEqual(await imageArchives(lib), [{ name: 'pause', ref: 'r:1', path: join(lib, 'images', 'pause.tar') }])
  })
})
