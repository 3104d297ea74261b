import { readFile } from 'node:fs/promises'

/** Ids of a system user that a database server must run as; undefined if this process is not root and cannot choose. */
export async function systemUser(name: string): Promise<{ readonly uid: number; readonly gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const entry = (await readFile('/etc/passwd', 'utf8')).split('\n').find((line) => line.startsWith(`${name}:`))
  const [, , uid, gid] = entry?.split(':') ?? []
  if (uid === undefined || gid === undefined)
    throw new Error(`this test needs the user ${name}, which its package makes`)
  return { uid: Number(uid), gid: Number(gid) }
}
