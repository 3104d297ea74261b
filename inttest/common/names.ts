import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { join } from 'node:path'

/** The checkout that this file belongs to. */
export const checkout = realpathSync(join(import.meta.dirname, '..', '..'))

/** The built product. */
export const k0sExecutable = join(checkout, 'build', 'k0s')

/**
 * Names and addresses of one set of hosts. They derive from the checkout and `instance`, so that two checkouts, or
 * `make test` beside `make up`, never meet.
 */
export interface Names {
  /** Prefix of network namespaces and cgroups, at most 11 characters. */
  readonly prefix: string
  /** Bridge that joins the hosts, at most 15 characters. */
  readonly bridge: string
  /** First three octets of the hosts' network; the bridge is .1. */
  readonly subnet: string
}

/** Derives the names of `instance` (for example `up`). */
export function namesOf(instance: string): Names {
  const digest = createHash('sha256').update(`${checkout}\0${instance}`).digest()
  const prefix = `k0s${digest.toString('hex', 0, 4)}`
  // 10.128-10.227: clear of the default pod (10.244/16) and service (10.96/12) networks.
  const subnet = `10.${String(128 + (digest.readUInt8(4) % 100))}.${String(digest.readUInt8(5))}`
  return { prefix, bridge: `${prefix}b`, subnet }
}
