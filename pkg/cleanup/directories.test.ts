import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { looksLikeDataDir, workerRan } from '#pkg/cleanup/evidence.ts'
import { removeDirectories } from '#pkg/cleanup/files.ts'
import type { ResetContext } from '#pkg/cleanup/step.ts'
import { cfgVars } from '#pkg/config/cfg-vars.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'
import { silentLogger } from '#pkg/log/logger.ts'

/** A host with a kubelet's directory and a data directory of these files. */
async function host(root: string, files: readonly string[]): Promise<ResetContext> {
  const vars = cfgVars({
    dataDir: join(root, 'data'),
    runDir: join(root, 'run'),
    kubeletRootDir: join(root, 'kubelet'),
  })
  for (const dir of [vars.dataDir, vars.runDir, vars.kubeletRootDir, join(root, 'proc/self')])
    await mkdir(dir, { recursive: true })
  await writeFile(join(root, 'proc/self/mountinfo'), '')
  await writeFile(join(vars.kubeletRootDir, 'precious'), '')
  for (const file of files) await writeFile(join(vars.dataDir, file), '{}')
  return {
    vars,
    log: silentLogger,
    signal: new AbortController().signal,
    run: () => Promise.resolve(undefined),
    root,
    worker: await workerRan(vars),
    unfinished: false,
  }
}

describe('directories of a reset', () => {
  it('are all of them after a worker', async () => {
    await using dir = await tempDir()
    const context = await host(dir.path, ['worker-config.json', 'kubelet.conf'])
    assert.deepEqual((await removeDirectories.run(context)).problems, [])
    assert.deepEqual(await readdir(dir.path), ['proc'])
  })

  it('are not those of another kubelet where no worker of k0s ran', async () => {
    await using dir = await tempDir()
    const context = await host(dir.path, ['konnectivity.conf'])
    await removeDirectories.run(context)
    assert.deepEqual(await readdir(dir.path), ['kubelet', 'proc'])
    assert.deepEqual(await readdir(context.vars.kubeletRootDir), ['precious'])
  })

  it('keep what the next reset has to know when this one leaves something', async () => {
    await using dir = await tempDir()
    const context = await host(dir.path, ['worker-config.json', 'kubelet.conf'])
    await removeDirectories.run({ ...context, unfinished: true })
    assert.deepEqual(await readdir(context.vars.dataDir), ['worker-config.json'])
    assert.equal(await workerRan(context.vars), true)
  })

  it("are never somebody's home", async () => {
    await using dir = await tempDir()
    assert.equal(await looksLikeDataDir(join(dir.path, 'missing')), true)
    assert.equal(await looksLikeDataDir(dir.path), true)
    await mkdir(join(dir.path, 'bin'))
    assert.equal(await looksLikeDataDir(dir.path), true)
    await writeFile(join(dir.path, 'thesis.txt'), '')
    assert.equal(await looksLikeDataDir(dir.path), false)
    assert.equal(await looksLikeDataDir('/'), false)
    await mkdir(join(dir.path, 'pki'))
    assert.equal(await looksLikeDataDir(dir.path), true)
  })
})
