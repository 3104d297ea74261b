import { join } from 'node:path'
import { exists } from '#pkg/file/exists.ts'
import { NoInitSystemError, ServiceError } from '#pkg/install/errors.ts'
import type { InitSystem } from '#pkg/install/init-system.ts'
import { OpenRc } from '#pkg/install/openrc.ts'
import { runProgram, type RunProgram } from '#pkg/supervisor/run-program.ts'
import { serviceName, type ServiceRole, serviceRoles } from '#pkg/install/service.ts'
import { Systemd } from '#pkg/install/systemd.ts'

/** What finding the init system takes; tests give a tree and programs of their own. */
export interface InitSystemDeps {
  /** Stands for `/`. */
  readonly root?: string
  readonly run?: RunProgram
}

/**
 * The init system that runs this host, or undefined when it is none of those that k0s knows, as in most containers.
 * systemd is recognised as by sd_booted(3), OpenRC by its runlevel.
 */
export async function detectInitSystem({ root = '/', run = runProgram }: InitSystemDeps = {}): Promise<
  InitSystem | undefined
> {
  if (await exists(join(root, 'run/systemd/system'))) return new Systemd({ root }, { run })
  if (await exists(join(root, 'run/openrc/softlevel'))) return new OpenRc({ root }, { run })
  return undefined
}

/** The service that is installed on this host. */
export interface InstalledService {
  readonly init: InitSystem
  readonly role: ServiceRole
  readonly name: string
  /** Its service file. */
  readonly path: string
}

/** The service that is installed here: the one whose file is where the init system of this host looks for it. */
export async function installedService(deps: InitSystemDeps = {}): Promise<InstalledService | undefined> {
  const init = await detectInitSystem(deps)
  return init && serviceOf(init)
}

/** The service whose file is where `init` looks for it. */
export async function serviceOf(init: InitSystem): Promise<InstalledService | undefined> {
  for (const role of serviceRoles) {
    const path = init.servicePath(role)
    if (await exists(path)) return { init, role, name: serviceName(role), path }
  }
  return undefined
}

/** The service that a command is to act on. @throws NoInitSystemError, ServiceError when there is none */
export async function requireService(deps: InitSystemDeps = {}): Promise<InstalledService> {
  const init = await detectInitSystem(deps)
  if (init === undefined) {
    throw new NoInitSystemError(
      'this host runs no init system that k0s knows (systemd or OpenRC), so k0s cannot be a service here; run "k0s controller" or "k0s worker" in the foreground',
    )
  }
  const service = await serviceOf(init)
  if (service !== undefined) return service
  throw new ServiceError(
    'k0s is not installed as a service of this host; run "k0s install controller" or "k0s install worker" first',
  )
}
