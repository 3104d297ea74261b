import { lstat, statfs } from 'node:fs/promises'
import { arch, hostname, platform, totalmem } from 'node:os'
import { dirname } from 'node:path'
import { readCapabilities, type Capability } from '#pkg/sysinfo/capabilities.ts'
import { row, type ProbeRow } from '#pkg/sysinfo/row.ts'

const GIB = 1024 ** 3
/** As k0s: less works, and disappoints. */
const MIN_MEMORY_BYTES = { controller: GIB, worker: 0.5 * GIB } as const
const MIN_DISK_BYTES = { controller: 0.5 * GIB, worker: 1.8 * GIB } as const

/** Host name, memory, disk and capabilities. */
export async function probeMachine(options: {
  readonly controller: boolean
  readonly worker: boolean
  readonly dataDir: string
  readonly root: string
}): Promise<readonly ProbeRow[]> {
  const { controller, worker, dataDir, root } = options
  const needed = (limits: { readonly controller: number; readonly worker: number }): number =>
    (controller ? limits.controller : 0) + (worker ? limits.worker : 0)
  return [
    row(['machine'], 'Machine', `${platform()}/${arch()}`),
    probeHostName(hostname()),
    probeMemory(totalmem(), needed(MIN_MEMORY_BYTES)),
    await probeDisk(dataDir, needed(MIN_DISK_BYTES)),
    ...(worker ? probeCapabilities(await readCapabilities(root)) : []),
  ]
}

/** The name of the Node object is the host name: it must be one that Kubernetes takes (RFC 1123). */
export function probeHostName(name: string): ProbeRow {
  const valid = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(name.toLowerCase())
  if (valid) return row(['machine', 'hostname'], 'Host name', name)
  return row(
    ['machine', 'hostname'],
    'Host name',
    name,
    'rejected',
    'not usable as the name of a node; set another one',
  )
}

function probeMemory(totalBytes: number, neededBytes: number): ProbeRow {
  const path = ['machine', 'memory']
  if (totalBytes >= neededBytes) return row(path, 'Total memory', gib(totalBytes))
  return row(path, 'Total memory', gib(totalBytes), 'warning', `${gib(neededBytes)} recommended`)
}

async function probeDisk(dataDir: string, neededBytes: number): Promise<ProbeRow> {
  const { bavail, bsize } = await statfs(await nearestDirectory(dataDir))
  const freeBytes = bavail * bsize
  const name = `Disk space available for ${dataDir}`
  const path = ['machine', 'disk']
  if (freeBytes >= neededBytes) return row(path, name, gib(freeBytes))
  return row(path, name, gib(freeBytes), 'warning', `${gib(neededBytes)} recommended`)
}

/** Which capabilities a worker cannot do without. */
export function probeCapabilities(has: ReadonlySet<Capability>): readonly ProbeRow[] {
  const required: readonly Capability[] = ['CAP_SYS_ADMIN', 'CAP_NET_ADMIN']
  const rows = required.map((name) =>
    has.has(name)
      ? row(['machine', 'capabilities', name], name, 'available')
      : row(
          ['machine', 'capabilities', name],
          name,
          'missing',
          'rejected',
          'run as root, not in an unprivileged container',
        ),
  )
  const resource = ['machine', 'capabilities', 'CAP_SYS_RESOURCE']
  rows.push(
    has.has('CAP_SYS_RESOURCE')
      ? row(resource, 'CAP_SYS_RESOURCE', 'available')
      : row(resource, 'CAP_SYS_RESOURCE', 'missing', 'warning', 'containers cannot be protected from the OOM killer'),
  )
  return rows
}

/** The directory itself or the closest one above it that exists. */
async function nearestDirectory(path: string): Promise<string> {
  const there = await lstat(path).then(
    () => true,
    () => false,
  )
  return there || path === dirname(path) ? path : await nearestDirectory(dirname(path))
}

function gib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`
}
