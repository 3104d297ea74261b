import { rm, rmdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errorMessage } from '#pkg/errors/error.ts'
import { exists } from '#pkg/file/exists.ts'
import { detectInitSystem, type InitSystemDeps } from '#pkg/install/detect.ts'
import type { InitSystem } from '#pkg/install/init-system.ts'
import { runProgram } from '#pkg/supervisor/run-program.ts'
import { secretFiles, serviceName, type ServiceRole, serviceRoles } from '#pkg/install/service.ts'
import { madeUsers, removeSystemUser } from '#pkg/install/users.ts'

/** What a removal did. */
export interface RemovalReport {
  readonly removed: readonly string[]
  /** What is left, and why. */
  readonly problems: readonly string[]
}

/** How long a service that is restarted again and again may take to be stopped, milliseconds. */
const STOP_TIMEOUT_MS = 60_000

/** Removes the services of k0s, their secrets and their logs. Idempotent: what is not there is no problem. */
export async function removeServices(deps: InitSystemDeps = {}): Promise<RemovalReport> {
  const init = await detectInitSystem(deps)
  const removed: string[] = []
  const problems: string[] = []
  for (const role of serviceRoles) {
    try {
      const { token, environment } = secretFiles(role, deps.root)
      if (init !== undefined && (await removeService(role, init))) removed.push(`service ${serviceName(role)}`)
      for (const path of [token, environment, ...(init?.logFiles(role) ?? [])]) {
        if (await removeFile(path)) removed.push(path)
      }
    } catch (err) {
      problems.push(`service ${serviceName(role)}: ${errorMessage(err)}`)
    }
  }
  await rmdir(secretFiles('controller', deps.root).dir).catch(() => undefined) // the user's files may be there, too
  return { removed, problems }
}

/** Removes the system users that `k0s install` made. */
export async function removeUsers({
  run = runProgram,
  passwdFile,
}: Pick<InitSystemDeps, 'run'> & { readonly passwdFile?: string } = {}): Promise<RemovalReport> {
  const removed: string[] = []
  const problems: string[] = []
  for (const name of await madeUsers(passwdFile)) {
    try {
      await removeSystemUser(name, { run, ...(passwdFile !== undefined && { passwdFile }) })
      removed.push(`user ${name}`)
    } catch (err) {
      problems.push(errorMessage(err))
    }
  }
  return { removed, problems }
}

async function removeService(role: ServiceRole, init: InitSystem): Promise<boolean> {
  const path = init.servicePath(role)
  if (!(await exists(path))) return false
  await init.disable(role)
  if ((await init.state(role)).state !== 'stopped') await init.stop(role, { timeoutMs: STOP_TIMEOUT_MS })
  for (const companion of init.companions) {
    await rm(companion.path, { force: true })
    await rmdir(dirname(companion.path)).catch(() => undefined) // somebody may have put settings of their own there
  }
  await rm(path, { force: true })
  await init.reload()
  return true
}

async function removeFile(path: string): Promise<boolean> {
  if (!(await exists(path))) return false
  await rm(path, { force: true })
  return true
}
