import { readdir, readFile } from 'node:fs/promises'
import { single } from '#pkg/kine/metrics/exposition.ts'
import type { Family } from '#pkg/kine/metrics/exposition.ts'

/** Figures of this process, under the names of Prometheus' own clients. */
export async function processFamilies(): Promise<readonly Family[]> {
  const { user, system } = process.cpuUsage()
  const families = [
    single('counter', 'process_cpu_seconds_total', 'CPU time used, in seconds.', (user + system) / 1e6),
    single('gauge', 'process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
    single(
      'gauge',
      'process_start_time_seconds',
      'When the process started, in seconds since 1970.',
      Math.round(Date.now() / 1000 - process.uptime()),
    ),
  ]
  const [files, limits, virtualKb] = await Promise.all([
    readdir('/proc/self/fd').catch(() => undefined),
    readFile('/proc/self/limits', 'latin1').catch(() => ''),
    readFile('/proc/self/status', 'latin1').then(
      (text) => /^VmSize:\s+(\d+) kB$/m.exec(text)?.[1],
      () => undefined,
    ),
  ])
  const maxFiles = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
  // The directory itself was open while it was read.
  if (files !== undefined) families.push(single('gauge', 'process_open_fds', 'Open files.', files.length - 1))
  if (maxFiles !== undefined)
    families.push(single('gauge', 'process_max_fds', 'Limit of open files.', Number(maxFiles)))
  if (virtualKb !== undefined) {
    families.push(single('gauge', 'process_virtual_memory_bytes', 'Virtual memory.', Number(virtualKb) * 1024))
  }
  return families
}
