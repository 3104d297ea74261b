import { readFile, stat } from 'node:fs/promises'

/** Processes that hold a POSIX lock on a file, as far as /proc/locks shows them; SQLite holds one while a file is open. */
export async function holdersOf(file: string, locksFile = '/proc/locks'): Promise<readonly number[]> {
  const { dev, ino } = await stat(file)
  const text = await readFile(locksFile, 'utf8').catch(() => '')
  return parseHolders(text, { major: (dev >> 8) & 0xfff, minor: (dev & 0xff) | ((dev >> 12) & 0xfff00), ino })
}

/** Lines are `1: POSIX  ADVISORY  READ 1234 fd:01:5678 0 EOF` (proc_locks(5)), those of waiting processes have `->`. */
export function parseHolders(
  text: string,
  file: { readonly major: number; readonly minor: number; readonly ino: number },
): readonly number[] {
  const pids = new Set<number>()
  for (const line of text.split('\n')) {
    const [, pid, major = '', minor = '', ino] =
      /^\d+: POSIX +\w+ +\w+ +(\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /.exec(line) ?? []
    const same =
      Number.parseInt(major, 16) === file.major && Number.parseInt(minor, 16) === file.minor && Number(ino) === file.ino
    if (same && pid !== undefined && Number(pid) !== process.pid) pids.add(Number(pid))
  }
  return [...pids]
}
