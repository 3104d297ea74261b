import { join } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { readIfExists } from '#pkg/file/atomic.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'

/** An address that a controller has put on an interface when it was its turn. */
export interface PlacedAddress {
  readonly interface: string
  /** With prefix length. */
  readonly address: string
}

/** Another controller may have it; it goes with its interface, too. */
const NOT_HERE = /Cannot assign requested address|Cannot find device/

/**
 * Removes virtual addresses of the controllers that are still here: keepalived takes them along when it ends, and leaves them
 * when it is killed. Its configuration, which this boot's last start wrote, says which.
 */
export const removeVirtualAddresses: ResetStep = {
  name: 'virtual addresses',
  run: async ({ vars, run }) => {
    const config = await readIfExists(join(vars.runDir, 'keepalived.conf'))
    const removed: string[] = []
    const problems: string[] = []
    for (const { interface: device, address } of placedAddresses(config ?? '')) {
      try {
        const done = await run('ip', ['address', 'delete', address, 'dev', device])
        if (done === undefined) problems.push(`the address ${address} may be left: the program ip is not installed`)
        else removed.push(`${address} (${device})`)
      } catch (err) {
        if (!NOT_HERE.test(errorMessage(err))) problems.push(`the address ${address} is left: ${errorMessage(err)}`)
      }
    }
    return { removed, problems }
  },
}

/** Reads keepalived.conf(5) as controllers write it (pkg/component/controller/keepalived-config.ts). Pure. */
export function placedAddresses(config: string): readonly PlacedAddress[] {
  return config.split(/^vrrp_instance /m).flatMap((instance) => {
    const device = /^\s*interface (\S+)$/m.exec(instance)?.[1]
    const block = /^\s*virtual_ipaddress \{\n([^}]*)\}/m.exec(instance)?.[1] ?? ''
    if (device === undefined) return []
    return block
      .split('\n')
      .map((line) => line.trim())
      .filter((address) => address !== '')
      .map((address) => ({ interface: device, address }))
  })
}
