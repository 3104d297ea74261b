import { checksum, identity, identityOf, labelled } from '#pkg/applier/manifest.ts'
import { isPrunable, readInventory, readMember, toMember, type StackMember } from '#pkg/applier/inventory.ts'
import type { Stack } from '#pkg/applier/stack-reader.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { applyObjects, describeObject, type ApplyDeps, type ApplyOutcome } from '#pkg/kubernetes/apply.ts'
import { isConflict, isNotFound } from '#pkg/kubernetes/errors.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What is left to do after a reconciliation. */
export type Leftover = 'nothing' | 'soon' | 'refused'

/**
 * Makes the cluster hold what the stacks say.
 *
 * INVARIANTS: an object is deleted only if its stack was read completely (or its folder is gone), it is not in the stack,
 * it carries the stack's label, and this controller applied it. What could not be read is never taken for empty.
 */
export class StackReconciler {
  readonly #owner: string
  readonly #deps: ApplyDeps
  readonly #log: Logger
  /** What this controller applied, or found applied, by stack and identity. */
  readonly #applied = new Map<string, Map<string, StackMember>>()
  /** Last complaint about an object or file, so that each is logged once. */
  readonly #complaints = new Map<string, string>()

  constructor(options: { readonly owner: string }, deps: ApplyDeps & { readonly log: Logger }) {
    this.#owner = options.owner
    this.#deps = deps
    this.#log = deps.log
  }

  /** Applies what is new or changed, prunes what was removed. Stacks do not wait for each other. */
  async reconcile(stacks: ReadonlyMap<string, Stack>, signal: AbortSignal): Promise<Leftover> {
    const gone = [...this.#applied.keys()].filter((name) => !stacks.has(name))
    const leftovers = await Promise.all([
      ...[...stacks.values()].map((stack) => this.#reconcileStack(stack, signal)),
      ...gone.map((name) => this.#prune(name, [...(this.#applied.get(name)?.values() ?? [])], signal)),
    ])
    for (const name of gone) if (this.#applied.get(name)?.size === 0) this.#applied.delete(name)
    return worst(leftovers)
  }

  /**
   * Compares with all that the cluster has: finds what was removed while nobody looked (prunes it), and what was deleted
   * from the cluster or changed by another controller (the next `reconcile` applies it again).
   */
  async sweep(stacks: ReadonlyMap<string, Stack>, signal: AbortSignal): Promise<void> {
    const { client, mapper } = this.#deps
    const kinds = (await mapper.refresh({ signal })).filter(isPrunable)
    const { members, unread } = await readInventory(client, kinds, { signal, concurrency: 2 }) // never urgent
    const live = new Map(members.map((member) => [identityOf(member), member]))
    for (const [stack, applied] of this.#applied) {
      for (const [key, known] of applied) {
        const now = live.get(key)
        if (now === undefined ? !unread.includes(known.kind) : now.checksum !== known.checksum || now.stack !== stack) {
          applied.delete(key)
        }
      }
    }
    const stale = members.filter((member) => {
      const stack = stacks.get(member.stack)
      return member.appliedBy === this.#owner && (stack === undefined || isRemoved(stack, member))
    })
    for (const [stack, list] of Map.groupBy(stale, (member) => member.stack)) await this.#prune(stack, list, signal)
  }

  /** Learns what is applied already, so that a restart does not apply everything again. */
  async prime(stacks: ReadonlyMap<string, Stack>, signal: AbortSignal): Promise<void> {
    const { client, mapper } = this.#deps
    const samples = new Map<string, KubeObject>()
    for (const { objects } of stacks.values()) {
      for (const object of objects.values()) samples.set(`${object.apiVersion} ${object.kind}`, object)
    }
    const refs = await Promise.all(
      [...samples.values()].map(async (object) => ({
        kind: object.kind,
        ref: await mapper.refFor(object, { signal }),
      })),
    )
    const known = refs.flatMap(({ kind, ref }) => (ref === undefined ? [] : [{ kind, ...ref }]))
    const { members } = await readInventory(client, known, { signal, concurrency: 8 })
    for (const member of members) this.#appliedOf(member.stack).set(identityOf(member), member)
    // A stack that is known only from the cluster is not ours to remove here; `sweep` judges it by its owner.
    for (const name of [...this.#applied.keys()]) if (!stacks.has(name)) this.#applied.delete(name)
  }

  async #reconcileStack(stack: Stack, signal: AbortSignal): Promise<Leftover> {
    const applied = this.#appliedOf(stack.name)
    this.#noteProblems(stack)
    const changed = [...stack.objects.values()].filter(
      (object) => applied.get(identity(object))?.checksum !== checksum(object),
    )
    const outcomes = await this.#apply(stack.name, changed, signal)
    const removed = [...applied.values()].filter((member) => isRemoved(stack, member))
    return worst([outcomes, await this.#prune(stack.name, removed, signal)])
  }

  async #apply(stack: string, objects: readonly KubeObject[], signal: AbortSignal): Promise<Leftover> {
    if (objects.length === 0) return 'nothing'
    const prepared = objects.map((object) => labelled(object, stack, this.#owner))
    const outcomes = await applyObjects(prepared, this.#deps, { signal })
    for (const outcome of outcomes) this.#note(stack, outcome)
    const count = outcomes.filter(({ state }) => state === 'applied').length
    if (count > 0) this.#log.info('stack applied', { stack, objects: count, left: outcomes.length - count })
    return worst(
      outcomes.map(({ state }) => (state === 'applied' ? 'nothing' : state === 'later' ? 'soon' : 'refused')),
    )
  }

  #noteProblems({ name, problems }: Stack): void {
    const reason = problems.join('; ')
    if (reason !== '') this.#complain(`stack ${name}`, reason, { stack: name })
    else this.#complaints.delete(`stack ${name}`)
  }

  #note(stack: string, outcome: ApplyOutcome): void {
    const { object } = outcome
    const subject = `${stack} ${describeObject(object)}`
    if (outcome.state === 'applied') {
      const { ref, live } = outcome
      const member = toMember({ ref, kind: object.kind, group: ref.group }, live)
      this.#appliedOf(stack).set(identityOf(member), member)
      this.#complaints.delete(subject)
    } else if (outcome.state === 'refused') {
      this.#complain(subject, outcome.reason, { stack, object: describeObject(object) })
    } else {
      this.#log.debug('object not applied yet', { stack, object: describeObject(object), reason: outcome.reason })
    }
  }

  async #prune(stack: string, members: readonly StackMember[], signal: AbortSignal): Promise<Leftover> {
    let leftover: Leftover = 'nothing'
    for (const member of [...members].sort((a, b) => pruneRank(a) - pruneRank(b))) {
      try {
        if (await this.#delete(stack, member, signal)) {
          this.#log.info('object pruned', { stack, object: `${member.kind} ${member.namespace ?? ''}/${member.name}` })
        }
        this.#applied.get(stack)?.delete(identityOf(member))
      } catch (thrown) {
        signal.throwIfAborted()
        this.#log.debug('object not pruned yet', { stack, object: member.name, err: errorMessage(thrown) })
        leftover = 'soon'
      }
    }
    return leftover
  }

  /** False when there was nothing to delete, or it is no longer this controller's. */
  async #delete(stack: string, member: StackMember, signal: AbortSignal): Promise<boolean> {
    const { client } = this.#deps
    const now = await readMember(client, member, { signal })
    if (now === undefined || now.stack !== stack || now.appliedBy !== this.#owner) return false
    try {
      await client.delete(now.ref, now.name, { uid: now.uid, signal })
      return true
    } catch (thrown) {
      if (isNotFound(thrown) || isConflict(thrown)) return false // conflict: another object of that name by now
      throw thrown
    }
  }

  #appliedOf(stack: string): Map<string, StackMember> {
    const known = this.#applied.get(stack) ?? new Map<string, StackMember>()
    this.#applied.set(stack, known)
    return known
  }

  #complain(subject: string, reason: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#complaints.get(subject) === reason) return
    this.#complaints.set(subject, reason)
    this.#log.error('manifest not applied', { ...fields, reason })
  }
}

function isRemoved(stack: Stack, member: StackMember): boolean {
  if (!stack.complete) return false
  return !stack.objects.has(identityOf(member))
}

/** Objects before the kinds and namespaces that hold them. */
function pruneRank({ kind }: StackMember): number {
  if (kind === 'CustomResourceDefinition') return 1
  return kind === 'Namespace' ? 2 : 0
}

function worst(leftovers: readonly Leftover[]): Leftover {
  if (leftovers.includes('soon')) return 'soon'
  return leftovers.includes('refused') ? 'refused' : 'nothing'
}
