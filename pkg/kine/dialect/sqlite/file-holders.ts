import { readdir, readlink, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'

/**
 * Other processes of this host that have a file open, as far as this user may see: an upstream kine with a rollback
 * journal holds no lock between two statements.
 */
export async function holdersOf(file: string, proc = '/proc'): Promise<readonly number[]> {
  const { dev, ino } = await stat(file)
  const processes = (await readdir(proc)).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
  const holders: number[] = []
  for (const pid of processes) {
    for (const link of await openFiles(join(proc, pid, 'fd'), basename(file))) {
      const open = await stat(link).catch(() => undefined)
      if (open?.ino === ino && open.dev === dev) holders.push(Number(pid))
    }
  }
  return [...new Set(holders)]
}

/** Links to open files of that name; none of a process that has ended or belongs to somebody else. */
async function openFiles(directory: string, name: string): Promise<readonly string[]> {
  const links = (await readdir(directory).catch(() => [])).map((fd) => join(directory, fd))
  const targets = await Promise.all(links.map((link) => readlink(link).catch(() => '')))
  return links.filter((_, i) => targets[i]?.endsWith(`/${name}`))
}
