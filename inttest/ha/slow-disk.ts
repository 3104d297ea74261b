import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Disk } from '#inttest/common/disk.ts'
import { cgroupsNamed } from '#inttest/common/cgroups.ts'

const FILE = 'blkio.throttle.write_iops_device'

/** Lets a disk take so many writes a second from everybody in the groups whose names begin with `prefix`; 0: as many as it can. */
export async function limitWrites(disk: Disk, perSecond: number, prefix: string): Promise<void> {
  const groups = (await cgroupsNamed(prefix)).filter((group) => group.includes('/blkio/'))
  const device = await disk.device()
  // What the kernel writes later, the journal's commits among it, is of the group at the top.
  for (const group of ['/sys/fs/cgroup/blkio', ...groups]) {
    await writeFile(join(group, FILE), `${device} ${String(perSecond)}\n`)
  }
}
