import assert from 'node:assert/strict'
import { copyFile, mkdtemp, rm, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { checkout, k0sExecutable, namesOf } from '#inttest/common/names.ts'
import { must, run } from '#inttest/common/run.ts'
import { endAllShared } from '#inttest/common/shared-cluster.ts'
import { tracesOf, type Traces } from '#inttest/common/traces.ts'
import { upOptions } from '#inttest/common/up-options.ts'

describe('make up and make down', () => {
  let build: string
  let options: readonly string[]
  const traces = (): Promise<Traces> => tracesOf(namesOf('demo'), upOptions(options).dir)
  const script = (name: string, ...more: readonly string[]): Promise<string> =>
    must([process.execPath, join(checkout, 'inttest', `${name}.ts`), ...options, ...more], { timeoutMs: 240_000 })

  before(async () => {
    await endAllShared() // two cores: one cluster at a time
    // In a build directory of its own: the kubeconfig of a running `make up` stays as it is.
    build = await mkdtemp(join(tmpdir(), 'k0s-demo-'))
    await copyFile(k0sExecutable, join(build, 'k0s'))
    await symlink(join(checkout, 'build', 'lib'), join(build, 'lib'))
    options = ['--instance', 'demo', '--kubeconfig', join(build, 'kubeconfig')]
    await script('down') // what an aborted run left
  })

  after(async () => {
    await script('down')
    await rm(build, { recursive: true })
  })

  for (const { what, flags, nodes } of [
    { what: 'a controller and a worker', flags: [], nodes: ['worker-0'] },
    { what: 'SINGLE=1', flags: ['--single'], nodes: ['controller-0'] },
  ]) {
    describe(what, () => {
      let before: Traces

      it('shows the page of the application', async () => {
        before = await traces()
        assert.match(await script('up', ...flags), /^ +<h1>Hello from a pod on an isolated worker<\/h1>$/m)
      })

      it('is reached by k0s kubectl with no environment set', async () => {
        const env = { KUBECONFIG: '', HOME: '/nonexistent' }
        const { code, stdout, stderr } = await run([join(build, 'k0s'), 'kubectl', 'get', 'nodes', '-o', 'name'], {
          env,
        })
        assert.equal(code, 0, stderr)
        assert.deepEqual(
          stdout.trim().split('\n'),
          nodes.map((name) => `node/${name}`),
        )
      })

      it('leaves no process, mount, namespace, interface, cgroup or nftables table', async () => {
        const { nftables, ...during } = await traces()
        // The lists would show what is there.
        for (const [kind, found] of Object.entries(during)) assert.ok(found.length > 0, `no ${kind} while it runs`)
        assert.deepEqual(nftables, before.nftables, "the machine's own tables are untouched")
        await script('down')
        assert.deepEqual(await traces(), before)
        const { dir, kubeconfig } = upOptions(options)
        for (const path of [dir, kubeconfig]) await assert.rejects(stat(path), { code: 'ENOENT' }, path)
      })
    })
  }
})
