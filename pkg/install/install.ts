import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { modes } from '#pkg/constant/files.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { exists, isDirectory } from '#pkg/file/exists.ts'
import { renderEnvironmentFile, type ServiceEnvironment } from '#pkg/install/environment-file.ts'
import { ServiceError } from '#pkg/install/errors.ts'
import type { InitSystem } from '#pkg/install/init-system.ts'
import type { RunProgram } from '#pkg/supervisor/run-program.ts'
import { secretFiles, serviceName, type ServiceRole, serviceRoles } from '#pkg/install/service.ts'
import { ensureSystemUser, removeSystemUser } from '#pkg/install/users.ts'

/** What is to be installed. */
export interface InstallRequest {
  readonly role: ServiceRole
  /** Absolute path of k0s. */
  readonly executable: string
  /** Flags of the role, without the join token. */
  readonly flags: readonly string[]
  readonly environment: ServiceEnvironment
  /** A join token to keep for the service: in a file that only root reads, never in the service's command line. */
  readonly token: string | undefined
  /** System users that the role's components run as. */
  readonly users: readonly string[]
  readonly stopTimeoutSeconds: number
  /** Replace a service of this role that differs. */
  readonly force: boolean
}

/** What an installation works with. */
export interface InstallDeps {
  readonly init: InitSystem
  readonly run: RunProgram
  /** Stands for `/`. */
  readonly root?: string
}

/** What an installation did. */
export interface InstallResult {
  readonly path: string
  /** false: everything was there as it should be. */
  readonly changed: boolean
}

/**
 * Installs a role as a service that starts at boot. All or nothing: files are written whole, the service file last, and
 * what was made is taken back when a later step fails. Repeating it changes nothing.
 *
 * @throws ServiceError for a service that is there and differs, or the other role's; FileError, SystemUserError
 */
export async function installService(request: InstallRequest, deps: InstallDeps): Promise<InstallResult> {
  const { role, force } = request
  const { init } = deps
  await refuseOtherRole(role, init)
  const path = init.servicePath(role)
  const files = wantedFiles(request, deps)
  const before = new Map<string, string | undefined>()
  for (const { path: file } of files) before.set(file, await readIfExists(file))
  const changed = files.some(({ path: file, text }) => before.get(file) !== text)
  if (changed && before.get(path) !== undefined && !force) {
    throw new ServiceError(
      `${serviceName(role)} is already installed with other settings (${path}), nothing was changed; replace it with --force`,
    )
  }
  await using undo = new AsyncDisposableStack()
  for (const user of new Set(request.users)) {
    if (await ensureSystemUser(user, deps)) undo.defer(() => ignore(removeSystemUser(user, deps)))
  }
  for (const { path: file, text, mode } of files) {
    if (text === undefined) continue
    await ensureParent(dirname(file))
    undo.defer(() => ignore(putBack(file, before.get(file), mode)))
    await writeFileAtomic(file, text, { mode })
  }
  if (before.get(path) === undefined) undo.defer(() => ignore(init.disable(role)))
  await init.enable(role)
  undo.move()
  // Secrets that the service has no use for any more.
  for (const { path: file, text } of files) if (text === undefined) await rm(file, { force: true })
  return { path, changed }
}

interface WantedFile {
  readonly path: string
  /** undefined: it is not to be there. */
  readonly text: string | undefined
  readonly mode: number
}

/** In the order of writing: what the service file refers to is there before it. */
function wantedFiles(request: InstallRequest, { init, root }: InstallDeps): readonly WantedFile[] {
  const { role, executable, flags, environment, token, stopTimeoutSeconds } = request
  const secrets = secretFiles(role, root)
  const hasEnvironment = Object.keys(environment).length > 0
  const text = init.render({
    role,
    executable,
    args: [role, ...flags, ...(token === undefined ? [] : [`--token-file=${secrets.token}`])],
    environmentFile: hasEnvironment ? secrets.environment : undefined,
    stopTimeoutSeconds,
  })
  const mode = modes.secretFile
  return [
    { path: secrets.token, text: token === undefined ? undefined : `${token}\n`, mode },
    { path: secrets.environment, text: hasEnvironment ? renderEnvironmentFile(environment) : undefined, mode },
    ...init.companions.map((file) => ({ ...file, mode: init.fileMode })),
    { path: init.servicePath(role), text, mode: init.fileMode },
  ]
}

async function refuseOtherRole(role: ServiceRole, init: InitSystem): Promise<void> {
  for (const other of serviceRoles) {
    if (other === role || !(await exists(init.servicePath(other)))) continue
    const hint =
      role === 'worker' ? '; a controller that runs pods too is "k0s install controller --enable-worker"' : ''
    throw new ServiceError(
      `${serviceName(other)} is installed on this host (${init.servicePath(other)}), which has one role at a time; remove it with k0s stop and k0s reset${hint}`,
    )
  }
}

/** A directory that is there keeps the mode that somebody gave it. */
async function ensureParent(path: string): Promise<void> {
  if (!(await isDirectory(path))) await ensureDir(path, { mode: modes.configDir })
}

async function putBack(path: string, text: string | undefined, mode: number): Promise<void> {
  if (text === undefined) await rm(path, { force: true })
  else await writeFileAtomic(path, text, { mode })
}

/** What cannot be taken back must not hide why it was to be: the file is whole all the same, and a repetition goes on from it. */
async function ignore(undoing: Promise<void>): Promise<void> {
  await undoing.catch(() => undefined)
}
