import { asFileError } from '#pkg/file/errors.ts'
import { readFile } from 'node:fs/promises'

/** Numbers of a local user. */
export interface UserIds {
  readonly uid: number
  readonly gid: number
}

/**
 * Looks a user up in /etc/passwd, or undefined when there is none: components then run as the supervisor's user.
 * System users are local by definition, so no name service is asked.
 */
export async function lookupUser(name: string, passwdFile = '/etc/passwd'): Promise<UserIds | undefined> {
  const text = await asFileError('read', passwdFile, () => readFile(passwdFile, 'utf8'))
  return findUser(text, name)
}

/** The entry of `name` in the text of a passwd file (passwd(5): name:password:UID:GID:…). */
export function findUser(passwd: string, name: string): UserIds | undefined {
  for (const line of passwd.split('\n')) {
    const [user, , uid, gid] = line.split(':')
    if (user !== name || uid === undefined || gid === undefined) continue
    if (/^\d+$/.test(uid) && /^\d+$/.test(gid)) return { uid: Number(uid), gid: Number(gid) }
  }
  return undefined
}
