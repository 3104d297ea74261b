import type { Component, StartContext } from '#pkg/component/component.ts'
import { Background } from '#pkg/component/cluster/background.ts'
import {
  controllerFacts,
  controllerLeaseLabel,
  controllerLeaseRef,
  type ControllerFacts,
} from '#pkg/component/cluster/controller-lease.ts'
import type { Lease } from '#pkg/kubernetes/lease.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'

/** A controller that has a lease, valid or not. */
export interface KnownController extends ControllerFacts {
  /** How long ago its lease was last seen to change, milliseconds. */
  silentMs(): number
  /** Resource version of its lease as it was last seen: a function, since it is no news of the controller. */
  version(): string
}

/**
 * Follows the leases of all controllers. Who is silent is judged by when the lease was last seen to change here, never by
 * comparing clocks of hosts.
 */
export class Controllers implements Component {
  readonly name = 'controllers'
  readonly after = ['kube-apiserver']
  readonly #client: ClientSource
  readonly #background = new Background()
  readonly #listeners = new Set<() => void>()
  readonly #seen = new Map<string, { readonly version: string; readonly atMs: number }>()
  #known: readonly KnownController[] | undefined

  constructor(deps: { readonly client: ClientSource }) {
    this.#client = deps.client
  }

  async start({ log }: StartContext): Promise<void> {
    const client = await this.#client.get()
    this.#background.begin((signal) =>
      reflect<Lease>(client, controllerLeaseRef, {
        labelSelector: `${controllerLeaseLabel}=true`,
        signal,
        log,
        onState: (leases) => this.#take([...leases.values()]),
      }),
    )
  }

  /** All that are known, by name. */
  all(): readonly KnownController[] {
    return this.#known ?? []
  }

  /** Calls `listener` when something about the controllers changes; the result ends that. */
  follow(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  ready(): Promise<void> {
    return this.#known === undefined ? Promise.reject(new Error('controllers not listed yet')) : Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#background.stop()
  }

  #take(leases: readonly Lease[]): void {
    const before = JSON.stringify(this.#known)
    const known = leases.flatMap((lease) => {
      const facts = controllerFacts(lease)
      if (facts === undefined) return []
      const version = lease.metadata.resourceVersion ?? ''
      return [{ ...facts, silentMs: this.#watch(version, facts.name), version: () => version }]
    })
    this.#known = known.sort((a, b) => a.name.localeCompare(b.name))
    for (const name of this.#seen.keys()) if (!known.some((other) => other.name === name)) this.#seen.delete(name)
    if (JSON.stringify(this.#known) !== before) for (const listener of this.#listeners) listener()
  }

  /** Notes when this version of a lease was first seen. */
  #watch(version: string, name: string): () => number {
    if (this.#seen.get(name)?.version !== version) this.#seen.set(name, { version, atMs: performance.now() })
    const { atMs } = this.#seen.get(name) ?? { atMs: performance.now() }
    return () => performance.now() - atMs
  }
}
