import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { removeSharedFiles } from '#pkg/cleanup/files.ts'
import { mountsBelow, parseMountPoints } from '#pkg/cleanup/mount-table.ts'
import { interfaceNames, removeInterfaces } from '#pkg/cleanup/network.ts'
import { isEmptyTable, removeRules, withoutOurChains } from '#pkg/cleanup/netfilter.ts'
import { removeTree } from '#pkg/cleanup/remove-tree.ts'
import { resetSteps, runSteps } from '#pkg/cleanup/reset.ts'
import type { ResetContext } from '#pkg/cleanup/step.ts'
import { resetContext } from '#pkg/cleanup/testing/context.ts'

describe('mount table', () => {
  it('decodes octal escapes', () => {
    assert.deepEqual(parseMountPoints('1 2 0:3 / /mnt/a\\040b\\134c rw - ext4 /dev/x rw\n'), ['/mnt/a b\\c'])
  })

  it('unmounts the newest first, and never the directory itself', () => {
    const mounted = [
      '/',
      '/var/lib/kubelet',
      '/var/lib/kubelet/pods/1/a',
      '/var/lib/kubelet/pods/1/a/b',
      '/var/lib/kubelet2',
    ]
    assert.deepEqual(mountsBelow(mounted, ['/var/lib/kubelet']), [
      '/var/lib/kubelet/pods/1/a/b',
      '/var/lib/kubelet/pods/1/a',
    ])
  })
})

describe('removeTree', () => {
  let dir: string
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'reset-'))
    await mkdir(join(dir, 'data/volume/deep'), { recursive: true })
    await writeFile(join(dir, 'data/volume/deep/precious'), 'yes')
    await mkdir(join(dir, 'data/other'))
    await writeFile(join(dir, 'data/other/file'), '')
  })
  afterEach(async () => {
    await rm(dir, { recursive: true })
  })

  it('removes everything where nothing is mounted, and is done when nothing is there', async () => {
    assert.deepEqual(await removeTree(join(dir, 'data'), ['/']), { removed: true, problems: [] })
    assert.deepEqual(await removeTree(join(dir, 'data'), ['/']), { removed: false, problems: [] })
  })

  it('keeps the data of what is still mounted below, says so, and removes the rest', async () => {
    const volume = join(dir, 'data/volume')
    const { problems } = await removeTree(join(dir, 'data'), ['/', volume])
    assert.deepEqual(problems, [`${volume} is a mount point: its data is kept`])
    assert.equal(await readFile(join(volume, 'deep/precious'), 'utf8'), 'yes')
    assert.deepEqual(await readdir(join(dir, 'data')), ['volume'])
  })

  it('finds mount points at any depth', async () => {
    const { problems } = await removeTree(join(dir, 'data'), [join(dir, 'data/volume/deep')])
    assert.equal(problems.length, 1)
    assert.equal(await readFile(join(dir, 'data/volume/deep/precious'), 'utf8'), 'yes')
  })

  it('empties a directory that is a mount point itself, for example a disk of the data directory', async () => {
    const path = join(dir, 'data')
    assert.deepEqual(await removeTree(path, [path]), { removed: true, problems: [] })
    assert.deepEqual(await readdir(path), [])
  })
})

describe('rules', () => {
  const SAVED = `*filter
:INPUT ACCEPT [10:20]
:KUBE-FIREWALL - [0:0]
:cali-INPUT - [0:0]
:DOCKER - [0:0]
-A INPUT -m comment --comment "cali:x" -j cali-INPUT
-A INPUT -j KUBE-FIREWALL
-A INPUT -p tcp --dport 22 -j ACCEPT
-A FORWARD -m comment --comment "cali:mp77cMpurHhyjLrM" -j MARK --set-xmark 0x10000/0x10000
-A KUBE-FIREWALL -j DROP
-A DOCKER -j RETURN
COMMIT
`

  it('keep what is not ours', () => {
    const { text, chains } = withoutOurChains(SAVED)
    assert.deepEqual(chains, ['KUBE-FIREWALL', 'cali-INPUT'])
    assert.equal(
      text,
      '*filter\n:INPUT ACCEPT [10:20]\n:DOCKER - [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\n-A DOCKER -j RETURN\nCOMMIT\n',
    )
  })

  it('know an empty table of iptables-nft from a used one', () => {
    const empty = `table ip filter {\n\tchain INPUT {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n`
    assert.equal(isEmptyTable(empty), true)
    assert.equal(isEmptyTable(empty.replace('policy accept;', 'policy accept;\n\t\ttcp dport 22 accept')), false)
    assert.equal(isEmptyTable(empty.replace('policy accept', 'policy drop')), false)
    assert.equal(isEmptyTable(empty.replace('chain INPUT', 'chain mine')), false)
  })

  it('are removed table by table, and nothing is done without the programs', async () => {
    const calls: string[] = []
    const run: ResetContext['run'] = (name, args) => {
      calls.push([name, ...args].join(' '))
      if (name !== 'nft') return Promise.resolve(undefined)
      return Promise.resolve(args[0] === 'list' ? 'table ip kube-proxy\ntable inet mine\ntable ip6 kube-proxy\n' : '')
    }
    const { removed, problems } = await removeRules.run(resetContext({ run }))
    assert.deepEqual(removed, ['table ip kube-proxy', 'table ip6 kube-proxy'])
    assert.deepEqual(problems, [])
    assert.ok(calls.includes('nft delete table ip kube-proxy'))
    assert.deepEqual(await removeRules.run(resetContext()), { removed: [], problems: [] })
  })
})

describe('reset', () => {
  it('goes on after a step that fails, and reports it', async () => {
    const reports = await runSteps(
      [
        { name: 'a', run: () => Promise.reject(new Error('broken')) },
        { name: 'b', run: () => Promise.resolve({ removed: ['x'], problems: [] }) },
      ],
      resetContext(),
    )
    assert.deepEqual(reports, [
      { step: 'a', removed: [], problems: ['a: broken'] },
      { step: 'b', removed: ['x'], problems: [] },
    ])
  })

  it('is not over when it is interrupted', async () => {
    const ending = new AbortController()
    const steps = [
      { name: 'a', run: () => Promise.resolve({ removed: [], problems: [] }).finally(() => ending.abort()) },
      { name: 'b', run: () => Promise.reject(new Error('not reached')) },
    ]
    await assert.rejects(runSteps(steps, resetContext({ signal: ending.signal })), { code: 'ERR_RESET' })
  })

  it('leaves everything outside alone where no worker ran', () => {
    const names = (worker: boolean): readonly string[] => resetSteps({ worker }).map(({ name }) => name)
    assert.deepEqual(names(false), ['processes', 'mounts', 'virtual addresses', 'netfilter', 'directories'])
    assert.ok(names(true).includes('cgroups'))
  })

  it('removes the CNI plugins that it staged and leaves those of the user', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'reset-'))
    try {
      const vars = {
        ...cfgVars({ dataDir: join(dir, 'data'), runDir: join(dir, 'run') }),
        cniBinDir: join(dir, 'bin'),
        cniConfDir: join(dir, 'net.d'),
      }
      await mkdir(join(dir, 'data'))
      await mkdir(vars.cniBinDir)
      await mkdir(join(dir, 'proc/self'), { recursive: true })
      await writeFile(join(dir, 'proc/self/mountinfo'), '')
      await writeFile(join(dir, 'data/cni-plugins.json'), '["calico"]')
      for (const name of ['calico', 'theirs']) await writeFile(join(vars.cniBinDir, name), '')
      await removeSharedFiles.run(resetContext({ vars, root: dir }))
      assert.deepEqual(await readdir(vars.cniBinDir), ['theirs'])
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('reads the names of interfaces', () => {
    const text = 'Inter-| Receive\n face |bytes\n    lo: 1 2\ncali0123456789a: 3 4\nflannel.1:5 6\n'
    assert.deepEqual(interfaceNames(text), ['lo', 'cali0123456789a', 'flannel.1'])
  })

  it('takes an interface that went by itself for removed, and says why another is left', async () => {
    const root = await mkdtemp(join(tmpdir(), 'reset-'))
    try {
      await mkdir(join(root, 'proc/self/net'), { recursive: true })
      await writeFile(join(root, 'proc/self/net/dev'), 'calic52a0de9c7d: 1\ncali0123456789a: 2\nflannel.1: 3\n')
      const answers = new Map([
        ['calic52a0de9c7d', 'RTNETLINK answers: No such device'],
        ['cali0123456789a', 'Cannot find device "cali0123456789a"'],
        ['flannel.1', 'RTNETLINK answers: Operation not permitted'],
      ])
      const run: ResetContext['run'] = (_, args) => Promise.reject(new Error(answers.get(args.at(-1) ?? '')))
      const { removed, problems } = await removeInterfaces.run(
        resetContext({ vars: cfgVars({ dataDir: join(root, 'data') }), root, run }),
      )
      assert.deepEqual(removed, [])
      assert.deepEqual(problems, ['interface flannel.1 is left: RTNETLINK answers: Operation not permitted'])
    } finally {
      await rm(root, { recursive: true })
    }
  })
})
