import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { cgroupDriver, readCgroups } from '#pkg/sysinfo/cgroup.ts'
import { cgroupRows } from '#pkg/sysinfo/probe-cgroup.ts'

const PROC_CGROUPS = `#subsys_name	hierarchy	num_cgroups	enabled
cpuset	3	2	1
cpu	1	2	1
cpuacct	2	2	1
blkio	7	2	1
memory	4	22	1
devices	5	2	1
freezer	6	2	1
hugetlb	0	2	1
pids	8	2	1
net_cls	0	1	0
`
const V1_MOUNTS = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids']
  .map((name, i) => `${32 + i} 31 0:${29 + i} / /sys/fs/cgroup/${name} rw,relatime - cgroup cgroup rw,${name}\n`)
  .join('')
const V2_MOUNT = '41 31 0:38 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n'
const HYBRID_MOUNT = '41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n'

describe('readCgroups', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'cgroups-'))
  })
  afterEach(async () => {
    await rm(root, { recursive: true })
  })

  it('finds version 1: the controllers that are both enabled and mounted', async () => {
    await tree({ 'proc/self/mountinfo': V1_MOUNTS, 'proc/cgroups': PROC_CGROUPS })
    const { version, controllers } = await readCgroups(root)
    assert.equal(version, 'v1')
    assert.deepEqual([...controllers].sort(), [
      'blkio',
      'cpu',
      'cpuacct',
      'cpuset',
      'devices',
      'freezer',
      'memory',
      'pids',
    ])
    const rows = cgroupRows({ version, controllers })
    assert.equal(rows[0]?.category, 'warning', 'version 1 works, with a warning')
    assert.deepEqual(
      rows.filter(({ category }) => category === 'rejected'),
      [],
    )
    assert.deepEqual(
      rows.filter(({ category, prop }) => category === 'warning' && prop === 'missing').map(({ path }) => path.at(-1)),
      ['hugetlb'],
    )
  })

  it('finds a hybrid: version 1 counts, the second hierarchy does not', async () => {
    await tree({ 'proc/self/mountinfo': V1_MOUNTS + HYBRID_MOUNT, 'proc/cgroups': PROC_CGROUPS })
    const { version, controllers } = await readCgroups(root)
    assert.equal(version, 'hybrid')
    assert.equal(controllers.has('memory'), true)
  })

  it('finds version 2 and what its root offers', async () => {
    await tree({
      'proc/self/mountinfo': V2_MOUNT,
      'proc/cgroups': PROC_CGROUPS,
      'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io memory hugetlb pids rdma\n',
    })
    const { version, controllers } = await readCgroups(root)
    assert.equal(version, 'v2')
    const rows = cgroupRows({ version, controllers })
    assert.deepEqual(
      rows.filter(({ category }) => category !== 'pass'),
      [],
    )
  })

  it('rejects version 2 without the memory controller, naming it', async () => {
    await tree({ 'proc/self/mountinfo': V2_MOUNT, 'sys/fs/cgroup/cgroup.controllers': 'cpuset cpu io pids\n' })
    const rejected = cgroupRows(await readCgroups(root)).filter(({ category }) => category === 'rejected')
    assert.deepEqual(
      rejected.map(({ displayName }) => displayName),
      ['cgroup controller "memory"'],
    )
  })

  it('rejects a host without any', async () => {
    await tree({ 'proc/self/mountinfo': '' })
    assert.deepEqual(
      cgroupRows(await readCgroups(root)).map(({ category }) => category),
      ['rejected'],
    )
  })

  it('takes the driver from PID 1', async () => {
    await tree({ 'proc/1/comm': 'systemd\n' })
    assert.equal(await cgroupDriver(root), 'systemd')
    await tree({ 'proc/1/comm': 'init\n' })
    assert.equal(await cgroupDriver(root), 'cgroupfs')
  })

  async function tree(files: Readonly<Record<string, string>>): Promise<void> {
    for (const [path, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, path)), { recursive: true })
      await writeFile(join(root, path), text)
    }
  }
})
