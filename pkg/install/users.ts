import { access, readFile } from 'node:fs/promises'
import { asFileError } from '#pkg/file/errors.ts'
import { lookupUser } from '#pkg/file/user.ts'
import { SystemUserError } from '#pkg/install/errors.ts'
import { said } from '#pkg/install/said.ts'
import type { ProgramResult, RunProgram } from '#pkg/supervisor/run-program.ts'

/** Stands in the comment field of the users that k0s made: only those are removed. */
export const userComment = 'k0s system user'

/** What making and removing users takes. */
export interface UserDeps {
  readonly run: RunProgram
  /** Tests give files of their own. */
  readonly passwdFile?: string
}

/**
 * Makes a system user unless it is there: no home, no login, a group of its own.
 *
 * @returns whether it was made
 * @throws SystemUserError
 */
export async function ensureSystemUser(name: string, deps: UserDeps): Promise<boolean> {
  if ((await lookupUser(name, deps.passwdFile)) !== undefined) return false
  await addUser(name, deps)
  return true
}

/** Removes one user and its group; fine when it is gone. @throws SystemUserError */
export async function removeSystemUser(name: string, { run, passwdFile }: UserDeps): Promise<void> {
  if ((await lookupUser(name, passwdFile)) === undefined) return
  // shadow's program, or busybox's where that is what there is (Alpine).
  const result = await firstInstalled([() => run('userdel', [name]), () => run('deluser', [name])])
  if (result.code !== 0) throw new SystemUserError(`cannot remove the system user ${name}: ${said(result)}`)
}

/** Names of the users that k0s made on this host, whatever its configuration says now. */
export async function madeUsers(passwdFile = '/etc/passwd'): Promise<readonly string[]> {
  const text = await asFileError('read', passwdFile, () => readFile(passwdFile, 'utf8'))
  return findMadeUsers(text)
}

/** The same of the text of a passwd file (passwd(5): name:password:UID:GID:comment:…). Pure. */
export function findMadeUsers(passwd: string): readonly string[] {
  return passwd
    .split('\n')
    .map((line) => line.split(':'))
    .flatMap(([name, , , , comment]) => (name !== undefined && comment === userComment ? [name] : []))
}

async function addUser(name: string, { run }: UserDeps): Promise<void> {
  const shell = await nologin()
  const hasGroup = (await run('getent', ['group', name])).code === 0
  const common = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', shell, '--comment', userComment]
  const result = await firstInstalled([
    () => run('useradd', ['--system', ...(hasGroup ? ['--gid', name] : ['--user-group']), ...common, name]),
    async () => {
      if (!hasGroup) await run('addgroup', ['-S', name])
      return run('adduser', ['-S', '-D', '-H', '-h', '/nonexistent', '-s', shell, '-g', userComment, '-G', name, name])
    },
  ])
  if (result.code !== 0) throw new SystemUserError(`cannot make the system user ${name}: ${said(result)}`)
}

/** The result of the first program that is installed. */
async function firstInstalled(attempts: readonly (() => Promise<ProgramResult>)[]): Promise<ProgramResult> {
  let last: ProgramResult = { code: undefined, stdout: '', stderr: '' }
  for (const attempt of attempts) {
    last = await attempt()
    if (last.code !== undefined) return last
  }
  return last
}

async function nologin(): Promise<string> {
  for (const path of ['/usr/sbin/nologin', '/sbin/nologin']) {
    const there = await access(path).then(
      () => true,
      () => false,
    )
    if (there) return path
  }
  return '/bin/false'
}
