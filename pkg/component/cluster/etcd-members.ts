import {
  etcdMemberDefinition,
  etcdMembersRef,
  etcdMemberSteps,
  type EtcdMemberObject,
  type EtcdMemberStep,
} from '#pkg/component/cluster/etcd-member-object.ts'
import type { LeaderTask } from '#pkg/component/cluster/leader.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import { applyUntilDone } from '#pkg/kubernetes/apply.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { ResourceMapper } from '#pkg/kubernetes/discovery.ts'
import { reflect } from '#pkg/kubernetes/reflector.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Collaborators of the task. */
export interface EtcdMembersDeps {
  readonly client: ClientSource
  /** @throws while etcd does not tell */
  readonly members: (signal: AbortSignal) => Promise<readonly EtcdMember[]>
  /** Whether the member at that URL answers. */
  readonly answers: (peerUrl: string, signal: AbortSignal) => Promise<boolean>
  /** Removes the member at that URL. @throws with the reason why not */
  readonly leave: (peerUrl: string) => Promise<void>
}

/** Members also come and go without their objects. */
const LOOK_EVERY_MS = 10_000

/** The leader's part: an EtcdMember for each member of etcd, and the removal of those whose object has `spec.leave`. */
export function etcdMembers(deps: EtcdMembersDeps): LeaderTask {
  return {
    name: 'etcd-members',
    run: async (signal, log) => {
      const client = await deps.client.get()
      await applyUntilDone([etcdMemberDefinition()], { client, mapper: new ResourceMapper(client) }, { signal, log })
      await follow(client, deps, { signal, log })
    },
  }
}

async function follow(
  client: KubeClient,
  deps: EtcdMembersDeps,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const stopped = (): boolean => signal.aborted
  let objects: readonly EtcdMemberObject[] | undefined
  let wake = (): void => undefined
  const reflecting = reflect<EtcdMemberObject>(client, etcdMembersRef, {
    signal,
    log,
    onState: (state) => {
      objects = [...state.values()]
      wake()
    },
  })
  while (!stopped()) {
    const { promise: woken, resolve } = Promise.withResolvers<undefined>()
    wake = () => resolve(undefined)
    const timer = setTimeout(wake, LOOK_EVERY_MS)
    signal.addEventListener('abort', wake, { once: true })
    try {
      if (objects !== undefined) await agree(client, objects, deps, { signal, log })
    } catch (err) {
      if (!stopped()) log.debug('members of etcd not compared', { err: errorMessage(err) })
    }
    await woken
    clearTimeout(timer)
    signal.removeEventListener('abort', wake)
  }
  await reflecting
}

async function agree(
  client: KubeClient,
  objects: readonly EtcdMemberObject[],
  deps: EtcdMembersDeps,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const members = await Promise.all(
    (await deps.members(signal)).map(async (member) => ({
      ...member,
      answers: await deps.answers(member.peerUrls[0] ?? '', signal),
    })),
  )
  for (const step of etcdMemberSteps(members, objects, new Date())) {
    await take(client, step, deps, { signal, log })
  }
}

async function take(
  client: KubeClient,
  step: EtcdMemberStep,
  deps: EtcdMembersDeps,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const setStatus = (name: string, status: object): Promise<unknown> =>
    client.patch(etcdMembersRef, name, { status }, { type: 'merge', subresource: 'status', signal })
  switch (step.action) {
    case 'create':
      await client.create(etcdMembersRef, step.object, { signal })
      await setStatus(step.object.metadata.name, step.status)
      return
    case 'update':
      if (step.leave !== undefined) {
        await client.patch(etcdMembersRef, step.name, { spec: { leave: step.leave } }, { type: 'merge', signal })
      }
      await setStatus(step.name, step.status)
      return
    case 'delete':
      await client.delete(etcdMembersRef, step.name, { signal })
      return
    case 'remove-member':
      try {
        await deps.leave(step.peerUrl)
        log.info('member of etcd removed, as its EtcdMember asks', { member: step.name })
      } catch (err) {
        const message = errorMessage(err)
        log.warn('member of etcd not removed', { member: step.name, reason: message })
        await setStatus(step.name, { reconcileStatus: 'Failed', message })
      }
  }
}
