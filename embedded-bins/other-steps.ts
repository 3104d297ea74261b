import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parse } from 'yaml'

import { cCompiler, cVersions, requireC } from '#embedded-bins/c-toolchain.ts'
import { runCommand } from '#embedded-bins/run-command.ts'
import { BuildError } from '#embedded-bins/step.ts'
import type { Step } from '#embedded-bins/step.ts'
import { versions } from '#embedded-bins/versions.ts'

const CALICO_MODULE = 'github.com/projectcalico/calico'
const CALICO_CRD_DIR = 'libcalico-go/config/crd'
/** What Felix watches and Calico's CNI plugin reads from the Kubernetes API: Calico's BGP and IPAM parts are not used. */
const calicoResources = [
  'bgpconfigurations',
  'clusterinformations',
  'felixconfigurations',
  'globalnetworkpolicies',
  'globalnetworksets',
  'hostendpoints',
  'ipamblocks',
  'ippools',
  'networkpolicies',
  'networksets',
]

/** The process that holds a pod's namespaces, in C: there is one per pod, and it is the smallest this way. */
export function pauseStep(folder: string): Step {
  const source = join(folder, 'pause/main.c')
  const flags = ['-Os', '-Wall', '-Wextra', '-Werror', '-static', '-s', '-Wl,--build-id=none']
  return {
    name: 'pause',
    group: 'pause',
    output: 'image-bin/pause',
    forTests: false,
    coldSeconds: 1,
    prepare: (context) => requireC([], context),
    material: async () => [await readFile(source, 'utf8'), flags, await cVersions([])],
    make: async (path, { signal }) => {
      await runCommand({ argv: [cCompiler, ...flags, '-o', path, source] }, signal)
    },
  }
}

/** Calico's resource definitions, taken from the same module as its programs. */
export function calicoCrdsStep(folder: string): Step {
  const group = join(folder, 'calico')
  return {
    name: 'calico-crds',
    group: 'calico',
    output: 'manifests/calico-crds.yaml',
    forTests: false,
    coldSeconds: 1,
    material: async () => [await readFile(join(group, 'go.sum'), 'utf8'), versions.calico, calicoResources, 'json'],
    make: async (path, { signal }) => {
      const env = { GOWORK: 'off', GOFLAGS: '' }
      await runCommand({ argv: ['go', 'mod', 'download', CALICO_MODULE], cwd: group, env }, signal)
      const module = await runCommand(
        { argv: ['go', 'list', '-m', '-f', '{{.Dir}}', CALICO_MODULE], cwd: group, env },
        signal,
      )
      const texts = calicoResources.map((name) =>
        readFile(join(module.trim(), CALICO_CRD_DIR, `crd.projectcalico.org_${name}.yaml`), 'utf8'),
      )
      // JSON is YAML too, and the applier reads it some 200 times faster, in the busiest second of a start.
      const documents = (await Promise.all(texts)).map((text) => JSON.stringify(parse(text)))
      await writeFile(path, documents.map((text) => `---\n${text}\n`).join(''))
    },
  }
}

/** A static shell with its tools for the tests' images, from Debian's package: fetched and unpacked, not installed. */
export function busyboxStep(): Step {
  return {
    name: 'busybox',
    group: 'busybox',
    output: 'image-bin/busybox',
    forTests: true,
    coldSeconds: 3,
    material: () => Promise.resolve(versions.testImages.tools),
    make: async (path, { signal, log }) => {
      const folder = await mkdtemp(join(tmpdir(), 'busybox-'))
      const onErrorLine = (line: string): void => log(`${line}\n`)
      try {
        await runCommand({ argv: ['apt-get', 'download', '-qq', 'busybox-static'], cwd: folder, onErrorLine }, signal)
        const archive = (await readdir(folder)).find((name) => name.endsWith('.deb'))
        if (archive === undefined) throw new BuildError('apt-get downloaded no package busybox-static')
        await runCommand({ argv: ['dpkg-deb', '--extract', archive, 'files'], cwd: folder }, signal)
        await copyFile(join(folder, 'files/bin/busybox'), path)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
    },
  }
}
