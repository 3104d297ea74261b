import assert from 'node:assert/strict'
import { describe, it } from 'mocha'
import { ComponentManager } from '#pkg/component/manager/manager.ts'
import { testWorkerContext } from '#pkg/component/worker/testing/worker-config.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import { silentLogger } from '#pkg/log/logger.ts'
import { workerComponents } from '#pkg/role/worker-components.ts'
import { kubeletHostName, parseLabels, splitWords } from '#pkg/role/worker-flags.ts'

describe('workerComponents', () => {
  const { options, deps } = testWorkerContext('/nonexistent', {
    caPem: '',
    certify: () => Promise.reject(new Error('no')),
  })
  const names = (components: readonly { readonly name: string }[]): readonly string[] =>
    components.map(({ name }) => name)

  it('is a graph without gaps and cycles', () => {
    const components = workerComponents(options, deps)
    const manager = new ComponentManager({ components, readyTimeoutMs: 1 }, { log: silentLogger })
    assert.equal(manager.status().length, components.length)
  })

  it('starts the kubelet after the runtime, the images and everything that pods need of the host', () => {
    const kubelet = workerComponents(options, deps).find(({ name }) => name === 'kubelet')
    for (const name of [
      'containerd',
      'image-import',
      'host-network',
      'node-certificate',
      'worker-certificates',
      'nllb',
    ]) {
      assert.ok(kubelet?.after.includes(name), name)
    }
  })

  it('leaves out what is disabled, by the names of the command line', () => {
    const left = names(workerComponents(options, deps, ['kube-proxy', 'network-provider']))
    for (const name of ['kube-proxy', 'flannel', 'calico-felix']) assert.ok(!left.includes(name), name)
    assert.ok(left.includes('kubelet'))
  })

  it('runs no containerd beside a runtime of the user', () => {
    const external = names(workerComponents({ ...options, criSocket: 'remote:unix:///run/crio.sock' }, deps))
    assert.ok(!external.includes('containerd') && !external.includes('image-import'))
  })
})

describe('flags of a worker', () => {
  it('are labels', () => {
    assert.deepEqual(parseLabels(['a=b', 'example.org/x=', 'c=d=e']), { a: 'b', 'example.org/x': '', c: 'd=e' })
    assert.throws(() => parseLabels(['ab']), UsageError)
  })

  it('are the words of --kubelet-extra-args, quoted as in a shell', () => {
    assert.deepEqual(splitWords(''), [])
    assert.deepEqual(splitWords('  --v=4   --max-pods=50 '), ['--v=4', '--max-pods=50'])
    assert.deepEqual(splitWords(`--a='x y' --b="p \\"q\\"" c\\ d`), ['--a=x y', '--b=p "q"', 'c d'])
    assert.throws(() => splitWords(`--a='x`), UsageError)
  })

  it('may name the node', () => {
    assert.equal(kubeletHostName(['--v=4']), undefined)
    assert.equal(kubeletHostName(['--hostname-override=a', '--hostname-override=b']), 'b')
    assert.equal(kubeletHostName(['--hostname-override', 'c']), 'c')
  })
})
