import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** Bit numbers of capabilities that a worker needs to know about (linux/capability.h). */
export const capabilityBits = {
  CAP_NET_ADMIN: 12,
  CAP_SYS_ADMIN: 21,
  CAP_SYS_RESOURCE: 24,
} as const

/** Name of a capability that is looked at. */
export type Capability = keyof typeof capabilityBits

/**
 * The capabilities that this process has and may pass on: in its effective and in its bounding set. A container's
 * root often lacks some in the bounding set, and then so does everything that it starts.
 */
export function parseCapabilities(procStatus: string): ReadonlySet<Capability> {
  const set = (name: string): bigint =>
    BigInt(`0x${new RegExp(`^${name}:\\s*([0-9a-f]+)$`, 'm').exec(procStatus)?.[1] ?? '0'}`)
  const both = set('CapEff') & set('CapBnd')
  const names = Object.keys(capabilityBits) as Capability[]
  return new Set(names.filter((name) => (both >> BigInt(capabilityBits[name])) & 1n))
}

/** Reads them from `<root>/proc/self/status`. */
export async function readCapabilities(root = '/'): Promise<ReadonlySet<Capability>> {
  return parseCapabilities(await readFile(join(root, 'proc/self/status'), 'utf8'))
}
