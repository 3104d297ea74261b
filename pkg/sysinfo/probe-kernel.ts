import { kernelFeatures, kernelFeatureState, kernelVersion, readKernel, type KernelFacts } from '#pkg/sysinfo/kernel.ts'
import { row, type ProbeRow } from '#pkg/sysinfo/row.ts'

/** Oldest kernel that the kubelet of 1.36 is tested with by its project. */
const MIN_VERSION = [4, 19] as const

/** Version and features of the kernel. */
export async function probeKernel(options: {
  readonly worker: boolean
  readonly root: string
}): Promise<readonly ProbeRow[]> {
  return kernelRows(await readKernel(options.root), options.worker)
}

/** The rows for what was read; pure. */
export function kernelRows(facts: KernelFacts, worker: boolean): readonly ProbeRow[] {
  const features = Object.keys(kernelFeatures) as (keyof typeof kernelFeatures)[]
  return [versionRow(facts.release), ...(worker ? features.map((name) => featureRow(name, facts)) : [])]
}

function versionRow(release: string): ProbeRow {
  const path = ['kernel']
  const version = kernelVersion(release)
  if (version === undefined) return row(path, 'Linux kernel release', release, 'warning', 'its version cannot be read')
  const [major, minor] = version
  const tooOld = major < MIN_VERSION[0] || (major === MIN_VERSION[0] && minor < MIN_VERSION[1])
  if (!tooOld) return row(path, 'Linux kernel release', release)
  return row(path, 'Linux kernel release', release, 'rejected', `version ${MIN_VERSION.join('.')} or newer is needed`)
}

function featureRow(name: keyof typeof kernelFeatures, facts: KernelFacts): ProbeRow {
  const path = ['kernel', name]
  const feature = kernelFeatures[name]
  const state = kernelFeatureState(feature, facts)
  const displayName = `${feature.config} (${feature.module})`
  switch (state) {
    case 'built-in':
    case 'loaded':
    case 'module':
      return row(path, displayName, state)
    case 'unknown':
      return row(path, displayName, state, 'warning', 'the kernel does not tell')
    case 'missing':
      return row(path, displayName, state, required.has(name) ? 'rejected' : 'warning', withoutIt[name])
  }
}

const required: ReadonlySet<keyof typeof kernelFeatures> = new Set(['veth', 'conntrack'])

const withoutIt: Readonly<Record<keyof typeof kernelFeatures, string>> = {
  overlayfs: 'images are copied instead of layered: slow, and more disk',
  nftables: 'iptables is used instead',
  conntrack: 'Services cannot work',
  veth: 'pods cannot have a network',
  vxlan: 'use the host-gw backend of flannel, with all workers in one network',
}
