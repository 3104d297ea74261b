import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { renderContainerdConfig, type ContainerdConfigOptions } from '#pkg/component/worker/containerd-config.ts'
import { readDropIns, refuseDropIn } from '#pkg/component/worker/containerd-drop-ins.ts'
import { assertGolden } from '#pkg/component/worker/testing/golden.ts'

const options: ContainerdConfigOptions = {
  rootDir: '/var/lib/k0s/containerd',
  stateDir: '/run/k0s/containerd',
  socket: '/run/k0s/containerd.sock',
  pauseImage: 'k0s.local/pause:v1.0.0',
  snapshotter: 'overlayfs',
  cgroupDriver: 'cgroupfs',
  restrictOomScoreAdj: true,
  runc: '/var/lib/k0s/bin/runc',
  cniBinDir: '/opt/cni/bin',
  cniConfDir: '/etc/cni/net.d',
  imports: [],
}

describe('renderContainerdConfig', () => {
  it('renders a host without CAP_SYS_RESOURCE and without systemd', async () => {
    await assertGolden(import.meta.dirname, 'containerd-cgroupfs.toml', renderContainerdConfig(options))
  })

  it('renders a host with systemd, all capabilities, no overlayfs and two drop-ins', async () => {
    const text = renderContainerdConfig({
      ...options,
      cgroupDriver: 'systemd',
      restrictOomScoreAdj: false,
      snapshotter: 'native',
      imports: ['/etc/k0s/containerd.d/10-a.toml', '/etc/k0s/containerd.d/a "quoted" name.toml'],
    })
    await assertGolden(import.meta.dirname, 'containerd-systemd.toml', text)
  })
})

describe('refuseDropIn', () => {
  it('takes version 3, with and without saying so', () => {
    assert.equal(refuseDropIn('version = 3\n[plugins."io.containerd.cri.v1.runtime"]\n'), undefined)
    assert.equal(
      refuseDropIn('[plugins."io.containerd.cri.v1.runtime".containerd]\ndefault_runtime_name = "crun"\n'),
      undefined,
    )
  })

  it('refuses version 2, naming it', () => {
    assert.match(refuseDropIn('version = 2\n') ?? '', /configuration version 2.*version = 3/)
  })

  it('refuses settings that moved between the versions, naming where they went', () => {
    const text = `[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]\nruntime_type = "x"\n`
    assert.match(refuseDropIn(text) ?? '', /io[.]containerd[.]grpc[.]v1[.]cri.*io[.]containerd[.]cri[.]v1[.]runtime/)
    assert.match(refuseDropIn(`[ plugins . 'io.containerd.grpc.v1.cri' ]`) ?? '', /version 2/)
  })

  it('does not look at comments, nor at keys called version in tables', () => {
    assert.equal(refuseDropIn('# version = 2\n[a]\nversion = 2\n'), undefined)
  })
})

describe('readDropIns', () => {
  it('lists *.toml in order and says which are refused; a missing directory has none', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'drop-ins-'))
    try {
      await writeFile(join(dir, '20-b.toml'), 'version = 2\n')
      await writeFile(join(dir, '10-a.toml'), 'version = 3\n')
      await writeFile(join(dir, 'README'), 'version = 1\n')
      const found = await readDropIns(dir)
      assert.deepEqual(
        found.map(({ path, refused }) => [path, refused !== undefined]),
        [
          [join(dir, '10-a.toml'), false],
          [join(dir, '20-b.toml'), true],
        ],
      )
      assert.deepEqual(await readDropIns(join(dir, 'missing')), [])
    } finally {
      await rm(dir, { recursive: true })
    }
  })
})
