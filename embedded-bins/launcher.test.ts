import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeLaunchers } from '#embedded-bins/bundle/launcher.ts'

describe('build/k0s', () => {
  let dir: string
  /** A stand-in for Node.js that prints its PID and what it was started with. */
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'k0s-launcher-'))
    await mkdir(join(dir, 'build', 'lib'), { recursive: true })
    await writeFile(join(dir, 'build', 'lib', 'node'), '#!/bin/sh\necho "$0 $_K0S_SELF $*"\n', { mode: 0o755 })
    await writeLaunchers(join(dir, 'build'))
    await mkdir(join(dir, 'elsewhere'))
    await symlink('../build/k0s', join(dir, 'elsewhere', 'k0s'))
    await symlink(join(dir, 'elsewhere', 'k0s'), join(dir, 'elsewhere', 'kubectl'))
  })
  after(() => rm(dir, { recursive: true }))

  const call = (file: string, ...args: string[]): string =>
    execFileSync(file, args, { encoding: 'utf8', cwd: dir, env: { PATH: `${dir}/elsewhere:/usr/bin:/bin` } }).trim()

  it('becomes Node.js, found through any chain of links', () => {
    for (const file of ['build/k0s', join(dir, 'build/k0s'), 'elsewhere/k0s', 'k0s']) {
      const output = call(file, 'token', 'a b')
      assert.match(output, /lib\/node .*build\/k0s .*lib\/k0s\/main\.mjs token a b$/, file)
    }
  })

  it('is kubectl when called so, with the arguments untouched', () => {
    assert.match(call('kubectl', 'get', '-o', 'json'), /main\.mjs kubectl get -o json$/)
    assert.match(call('build/kubectl', 'get'), /main\.mjs kubectl get$/)
  })
})
