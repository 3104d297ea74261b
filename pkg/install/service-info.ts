import { detectInitSystem, serviceOf, type InitSystemDeps } from '#pkg/install/detect.ts'
import type { ServiceRole } from '#pkg/install/service.ts'

/** The two fields of k0s's status that are about the service; empty where there is none. */
export interface ServiceInfo {
  readonly SysInit: string
  readonly StubFile: string
}

/** What the status of a running role says of its host's init system and of its own service file. */
export async function serviceInfo(role: ServiceRole, deps: InitSystemDeps = {}): Promise<ServiceInfo> {
  const init = await detectInitSystem(deps)
  const service = init && (await serviceOf(init))
  return { SysInit: init?.id ?? '', StubFile: service?.role === role ? service.path : '' }
}
