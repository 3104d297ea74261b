import { errorMessage } from '#pkg/errors/error.ts'
import { row, type ProbeRow } from '#pkg/sysinfo/row.ts'
import { probeCgroups } from '#pkg/sysinfo/probe-cgroup.ts'
import { probeKernel } from '#pkg/sysinfo/probe-kernel.ts'
import { probeMachine } from '#pkg/sysinfo/probe-machine.ts'
import { probePrograms } from '#pkg/sysinfo/probe-programs.ts'

/** What to check. */
export interface SysinfoOptions {
  readonly controller: boolean
  readonly worker: boolean
  readonly dataDir: string
  /** PATH on which programs are looked for. */
  readonly path: string
  /** Stands for `/`; tests give a tree of their own. */
  readonly root?: string
}

/** A group of probes. */
type Probe = (options: Required<SysinfoOptions>) => Promise<readonly ProbeRow[]>

const probes: Readonly<Record<string, Probe>> = {
  machine: probeMachine,
  kernel: probeKernel,
  cgroups: probeCgroups,
  programs: probePrograms,
}

/** Looks at the host. Never throws: a probe that fails is a row that says so. */
export async function collectSysinfo(options: SysinfoOptions): Promise<readonly ProbeRow[]> {
  const complete = { root: '/', ...options }
  const rows = await Promise.all(
    Object.entries(probes).map(async ([name, probe]) => {
      try {
        return await probe(complete)
      } catch (err) {
        return [{ ...row([name], name, 'not probed', 'error'), error: errorMessage(err) }]
      }
    }),
  )
  return rows.flat()
}

/** The rows that keep the node from starting. */
export function rejections(rows: readonly ProbeRow[]): readonly ProbeRow[] {
  return rows.filter(({ category }) => category === 'rejected')
}

/** The rows as `k0s sysinfo` prints them: one a line, indented by their depth. */
export function renderSysinfo(rows: readonly ProbeRow[]): string {
  return rows
    .map(({ path, displayName, prop, message, category, error }) => {
      const notes = [message, error].filter((note) => note !== undefined && note !== '').join('; ')
      return `${'  '.repeat(path.length - 1)}${displayName}: ${prop} (${category}${notes === '' ? '' : `: ${notes}`})\n`
    })
    .join('')
}
