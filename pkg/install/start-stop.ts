import { assertNever } from '#pkg/errors/error.ts'
import { ServiceError } from '#pkg/install/errors.ts'
import type { InstalledService } from '#pkg/install/detect.ts'

/**
 * Starts the service.
 *
 * @param options `runningPid`: the process of k0s that runs on this host, however it was started
 * @throws ServiceError when it runs already
 */
export async function startService(
  service: InstalledService,
  { runningPid }: { readonly runningPid: number | undefined },
): Promise<void> {
  const { init, role, name } = service
  const { state, detail } = await init.state(role)
  if (state === 'running') {
    const which = runningPid === undefined ? detail : `process ${runningPid}`
    throw new ServiceError(`${name} is already running (${which}); see k0s status`)
  }
  if (runningPid !== undefined) {
    throw new ServiceError(
      `k0s already runs here in the foreground (process ${runningPid}); stop it with k0s stop, then start the service`,
    )
  }
  await init.start(role)
}

/**
 * The service that has to be stopped by its init system, which would start it again otherwise; undefined when there is
 * none, or when `pid`, the process that is to end, is not its.
 */
export async function serviceToStop(
  service: InstalledService | undefined,
  { pid }: { readonly pid: number | undefined },
): Promise<InstalledService | undefined> {
  if (service === undefined) return undefined
  const found = await service.init.state(service.role)
  if (found.state === 'stopped') return undefined
  if (pid !== undefined && found.pid !== undefined && found.pid !== pid) return undefined
  return service
}

/** What to do about a service whose role does not answer. */
export async function serviceHint({ init, role, name }: InstalledService): Promise<string> {
  const { state, detail } = await init.state(role)
  switch (state) {
    case 'stopped':
      return `its service ${name} is ${detail}; start it with k0s start`
    case 'failing':
      return `its service ${name} ends again and again; read why with ${init.logCommand(role)}`
    case 'running':
      return `its service ${name} is ${detail}; read what it does with ${init.logCommand(role)}`
    default:
      return assertNever(state)
  }
}
