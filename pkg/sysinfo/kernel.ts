import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'

/** A kernel feature: its configuration symbol, and its module where there is one. */
export interface KernelFeature {
  readonly config: string
  readonly module: string
}

/** Features that a worker uses. */
export const kernelFeatures = {
  overlayfs: { config: 'CONFIG_OVERLAY_FS', module: 'overlay' },
  nftables: { config: 'CONFIG_NF_TABLES', module: 'nf_tables' },
  conntrack: { config: 'CONFIG_NF_CONNTRACK', module: 'nf_conntrack' },
  veth: { config: 'CONFIG_VETH', module: 'veth' },
  vxlan: { config: 'CONFIG_VXLAN', module: 'vxlan' },
} as const satisfies Readonly<Record<string, KernelFeature>>

/** `missing` is said only when the kernel's own configuration says so. */
export type KernelFeatureState = 'built-in' | 'module' | 'loaded' | 'missing' | 'unknown'

/** What is known of the running kernel, read once for any number of features. */
export interface KernelFacts {
  /** `uname -r`. */
  readonly release: string
  /** Its configuration; undefined where it is not published. */
  readonly config: string | undefined
  /** /proc/modules. */
  readonly loaded: string
  /** File names of loadable and built-in modules. */
  readonly available: string
}

/** Reads /proc/config.gz or /boot/config-<release>, and the module lists. `root` stands for `/`. */
export async function readKernel(root = '/'): Promise<KernelFacts> {
  const release = (await readText(join(root, 'proc/sys/kernel/osrelease'))).trim()
  const modulesDir = join(root, 'lib/modules', release)
  const [config, loaded, builtin, dep] = await Promise.all([
    readConfig(root, release),
    readText(join(root, 'proc/modules')),
    readText(join(modulesDir, 'modules.builtin')),
    readText(join(modulesDir, 'modules.dep')),
  ])
  return { release, config, loaded, available: `${builtin}\n${dep}` }
}

/** State of one feature; pure. */
export function kernelFeatureState(feature: KernelFeature, facts: KernelFacts): KernelFeatureState {
  if (new RegExp(`^${feature.module} `, 'm').test(facts.loaded)) return 'loaded'
  const setting =
    facts.config === undefined ? undefined : new RegExp(`^${feature.config}=([ym])$`, 'm').exec(facts.config)
  if (setting?.[1] === 'y') return 'built-in'
  if (setting?.[1] === 'm') return 'module'
  if (facts.config !== undefined) return 'missing'
  return new RegExp(`/${feature.module.replaceAll('_', '[_-]')}[.]ko`, 'm').test(facts.available) ? 'module' : 'unknown'
}

/** `6.18.44-fc` → [6, 18]. Undefined when it cannot be read. */
export function kernelVersion(release: string): readonly [number, number] | undefined {
  const match = /^(\d+)\.(\d+)/.exec(release)
  return match === null ? undefined : [Number(match[1]), Number(match[2])]
}

async function readConfig(root: string, release: string): Promise<string | undefined> {
  const packed = await readFile(join(root, 'proc/config.gz')).catch(() => undefined)
  if (packed !== undefined) return (await promisify(gunzip)(packed)).toString('latin1')
  const text = await readText(join(root, 'boot', `config-${release}`))
  return text === '' ? undefined : text
}

async function readText(path: string): Promise<string> {
  return await readFile(path, 'utf8').catch(() => '')
}
