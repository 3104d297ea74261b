import assert from 'node:assert/strict'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'mocha'
import { removeStack, writeStack } from '#pkg/component/cluster/stack-files.ts'
import { tempDir } from '#pkg/file/testing/temp-dir.ts'

describe('files of a stack', () => {
  it('are removed with their folder', async () => {
    await using dir = await tempDir()
    await writeStack(dir.path, 'metrics-server', { 'metric_server.yaml': 'a: 1\n' })
    await writeStack(dir.path, 'coredns', { 'coredns.yaml': 'a: 1\n' })
    assert.equal(await removeStack(dir.path, 'metrics-server'), true)
    assert.deepEqual(await readdir(dir.path), ['coredns'])
    assert.equal(await removeStack(dir.path, 'metrics-server'), false)
  })

  it('go, and what a user added stays', async () => {
    await using dir = await tempDir()
    await writeStack(dir.path, 'coredns', { 'coredns.yaml': 'a: 1\n' })
    await writeFile(join(dir.path, 'coredns', 'mine.yaml'), '')
    assert.equal(await removeStack(dir.path, 'coredns'), true)
    assert.deepEqual(await readdir(join(dir.path, 'coredns')), ['mine.yaml'])
  })
})
