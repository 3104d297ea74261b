import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'mocha'
import { installContainerdFiles } from '#pkg/component/worker/containerd-files.ts'
import { watchDirectory } from '#pkg/component/worker/drop-in-watch.ts'
import { testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'
import type { WorkerContext } from '#pkg/component/worker/worker-context.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const programs = { containerd: '/bin/containerd', runc: '/bin/runc' }
const GOOD = 'version = 3\n[plugins."io.containerd.cri.v1.runtime".containerd]\ndefault_runtime_name = "crun"\n'

describe('installContainerdFiles', () => {
  const { signal } = new AbortController()
  let dir: string
  let dropInDir: string
  let context: WorkerContext
  let verdict: () => Promise<{ stdout: string; stderr: string }>
  let validated: (readonly string[])[]
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'containerd-'))
    dropInDir = join(dir, 'etc/containerd.d')
    for (const path of [dropInDir, join(dir, 'data'), join(dir, 'run')]) await mkdir(path, { recursive: true })
    const base = testWorkerContext(dir, { caPem: '', certify: () => Promise.reject(new Error('not expected')) })
    verdict = () => Promise.resolve({ stdout: '', stderr: '' })
    validated = []
    context = {
      ...base,
      options: { ...base.options, vars: { ...base.options.vars, containerdDropInDir: dropInDir } },
      deps: {
        ...base.deps,
        runOnce: ({ args }) => {
          validated.push(args)
          return verdict()
        },
      },
    }
  })
  afterEach(async () => {
    await rm(dir, { recursive: true })
  })
  const install = () => installContainerdFiles(context, programs, signal)

  it('writes our configuration; without drop-ins nothing is validated', async () => {
    const { configFile } = await install()
    assert.equal(configFile, join(dir, 'data/containerd.toml'))
    assert.match(await readFile(configFile, 'utf8'), /^imports = \[\]$/m)
    assert.deepEqual(validated, [])
  })

  it('copies good drop-ins and imports the copies', async () => {
    await writeFile(join(dropInDir, '10-crun.toml'), GOOD)
    const { configFile } = await install()
    const copy = join(dir, 'run/containerd.d/10-crun.toml')
    assert.ok((await readFile(configFile, 'utf8')).includes(`imports = ["${copy}"]`))
    assert.equal(await readFile(copy, 'utf8'), GOOD)
    assert.equal((await stat(copy)).mode & 0o777, 0o600, 'it may hold credentials of a registry')
    assert.equal(validated.length, 1)
    assert.deepEqual(await readdir(join(dir, 'run')), ['containerd.d'], 'the candidate is removed')
  })

  it('refuses a bad one by name and keeps what was installed', async () => {
    await writeFile(join(dropInDir, '10-crun.toml'), GOOD)
    await install()
    await writeFile(join(dropInDir, '10-crun.toml'), 'version = 2\n')
    await assert.rejects(install(), /cannot use .*10-crun.toml: .*version 2.*; correct or remove the file/)
    assert.equal(await readFile(join(dir, 'run/containerd.d/10-crun.toml'), 'utf8'), GOOD)
  })

  it('passes on what containerd says, about the file that the user wrote', async () => {
    await writeFile(join(dropInDir, 'a.toml'), GOOD)
    verdict = () => Promise.reject(new Error(`${join(dir, 'run/containerd.d.new/a.toml')}: (1, 3): unexpected token`))
    await assert.rejects(install(), (err: unknown) => {
      assert.ok(err instanceof Error)
      assert.ok(err.message.includes(`${join(dropInDir, 'a.toml')}: (1, 3): unexpected token`))
      return true
    })
  })

  it('changes its fingerprint with the drop-ins only', async () => {
    const first = await install()
    assert.equal((await install()).fingerprint, first.fingerprint)
    await writeFile(join(dropInDir, 'a.toml'), GOOD)
    const second = await install()
    assert.notEqual(second.fingerprint, first.fingerprint)
    await writeFile(join(dropInDir, 'a.toml'), `${GOOD}# changed\n`)
    assert.notEqual((await install()).fingerprint, second.fingerprint)
  })

  it('leaves a configuration of the user alone, unless it bears our mark', async () => {
    const own = join(dir, 'etc/containerd.toml')
    await writeFile(own, 'version = 3\n')
    assert.equal((await install()).configFile, own)
    await writeFile(own, '# k0s_managed=true\nversion = 3\n')
    assert.equal((await install()).configFile, join(dir, 'data/containerd.toml'))
  })
})

describe('watchDirectory', () => {
  it('reports a change once it is quiet, and none after its end', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'watch-'))
    try {
      let calls = 0
      const changed = new Promise<void>((resolve) => {
        const end = watchDirectory(
          dir,
          () => {
            calls += 1
            end()
            resolve()
            return Promise.resolve()
          },
          { log: silentLogger },
        )
      })
      await writeFile(join(dir, 'a'), '1')
      await writeFile(join(dir, 'a'), '2')
      await changed
      assert.equal(calls, 1)
    } finally {
      await rm(dir, { recursive: true })
    }
  })

  it('does without a directory that is not there', () => {
    watchDirectory('/nonexistent/dir', () => Promise.resolve(), { log: silentLogger })()
  })
})
