import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

/**
 * Starts a program that refuses to be root as `user`, if this process is root; its standard error is a pipe. It ends
 * with this process: a test runner that is killed leaves no server behind.
 */
export function spawnAs(
  user: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  const asUser = process.getuid?.() === 0 ? ['--reuid', user, '--regid', user, '--clear-groups'] : []
  // Not for setpriv itself, which begins as somebody else: what is preloaded into a program acts at its start.
  const variables = ['env', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)]
  return spawn('setpriv', [...asUser, '--pdeathsig', 'KILL', ...variables, program, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' },
    cwd: '/',
  })
}
