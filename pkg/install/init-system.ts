import type { ServiceRole, ServiceSpec } from '#pkg/install/service.ts'

/** What the init system knows of a service. */
export interface ServiceState {
  /** `failing`: its process ends again and again, and is started again each time. */
  readonly state: 'running' | 'failing' | 'stopped'
  /** The role's process, where it runs and the init system tells. */
  readonly pid: number | undefined
  /** The state in the init system's own words. */
  readonly detail: string
}

/** A file of settings that goes with the service. */
export interface CompanionFile {
  readonly path: string
  readonly text: string
}

/** The program that starts and keeps the services of a host. */
export interface InitSystem {
  /** As k0s's status names it. */
  readonly id: 'linux-systemd' | 'linux-openrc'
  /** For messages. */
  readonly title: string
  /** Permission bits of a service file. */
  readonly fileMode: number
  servicePath(role: ServiceRole): string
  /** Text of the service file. */
  render(spec: ServiceSpec): string
  /** What else the init system has to know, each file in a directory of its own. */
  readonly companions: readonly CompanionFile[]
  /** Takes note of service files that changed, and starts the service at boot. @throws ServiceError */
  enable(role: ServiceRole): Promise<void>
  /** Starts it no more at boot; fine when it is not known. @throws ServiceError */
  disable(role: ServiceRole): Promise<void>
  /** Takes note of service files that are gone. @throws ServiceError */
  reload(): Promise<void>
  /** @throws ServiceError */
  start(role: ServiceRole): Promise<void>
  /** Resolves when its process is gone. @throws ServiceError */
  stop(role: ServiceRole, options: { readonly timeoutMs: number }): Promise<void>
  state(role: ServiceRole): Promise<ServiceState>
  /** How to read what the service printed. */
  logCommand(role: ServiceRole): string
  /** Files that the service writes outside the directories of k0s. */
  logFiles(role: ServiceRole): readonly string[]
}
