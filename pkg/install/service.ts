import { join } from 'node:path'

/** What a host can be installed as; one of them. */
export const serviceRoles = ['controller', 'worker'] as const

/** One of `serviceRoles`. */
export type ServiceRole = (typeof serviceRoles)[number]

/** A service as it is written for the init system. */
export interface ServiceSpec {
  readonly role: ServiceRole
  /** Absolute path of k0s. */
  readonly executable: string
  /** What follows it, the role first. */
  readonly args: readonly string[]
  /** File with the environment, mode 0600; undefined: nothing beyond what the init system gives. */
  readonly environmentFile: string | undefined
  /** How long the role may take to stop before it is killed. */
  readonly stopTimeoutSeconds: number
}

/** Name of the service; k0s's. */
export function serviceName(role: ServiceRole): string {
  return `k0s${role}`
}

/** Whether SIGHUP has an effect: a controller's tunnel server hands over to a new one, a worker has nothing like it. */
export function reloads(role: ServiceRole): boolean {
  return role === 'controller'
}

/** One line for people who list the services of a host. */
export function serviceDescription(role: ServiceRole): string {
  return role === 'controller'
    ? 'k0s controller: a Kubernetes control plane'
    : 'k0s worker: a host of a Kubernetes cluster'
}

/** What an installation keeps beside the service file; readable by root only, since both hold secrets. */
export interface SecretFiles {
  readonly dir: string
  /** `NAME="value"` lines. */
  readonly environment: string
  /** The join token that was given as an argument. */
  readonly token: string
}

/** Where they are; `root` stands for `/`. */
export function secretFiles(role: ServiceRole, root = '/'): SecretFiles {
  const dir = join(root, 'etc/k0s')
  const name = serviceName(role)
  return { dir, environment: join(dir, `${name}.env`), token: join(dir, `${name}.token`) }
}
