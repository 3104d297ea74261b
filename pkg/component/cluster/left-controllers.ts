import {
  CONTROLLER_LEASE_PREFIX,
  controllerLeaseRef,
  LEASE_RENEW_EVERY_MS,
} from '#pkg/component/cluster/controller-lease.ts'
import type { Controllers, KnownController } from '#pkg/component/cluster/controllers.ts'
import type { LeaderTask } from '#pkg/component/cluster/leader.ts'
import type { KubeClient } from '#pkg/kubernetes/client.ts'
import { isConflict, isNotFound } from '#pkg/kubernetes/errors.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** Collaborators of the clean-up. */
export interface LeftControllersDeps {
  readonly client: ClientSource
  readonly controllers: Pick<Controllers, 'all'>
  /** Names of the members of etcd; undefined where the controllers run none. @throws while etcd does not tell */
  readonly memberNames?: ((signal: AbortSignal) => Promise<readonly string[]>) | undefined
}

const LOOK_EVERY_MS = 5_000
/** With a shared database nothing else tells that a controller is gone for good. */
const FORGET_AFTER_MS = 3_600_000
/** One that is no member of etcd cannot renew its lease; two renewals are missed then, so that it is not one by another name. */
const LEFT_AFTER_MS = 2.5 * LEASE_RENEW_EVERY_MS

/** The leader's part: removes the leases of controllers that have left, and with them their addresses from all workers. */
export function removeLeftControllers(deps: LeftControllersDeps): LeaderTask {
  return {
    name: 'left-controllers',
    run: async (signal, log) => {
      const client = await deps.client.get()
      for (;;) {
        await sleep(LOOK_EVERY_MS, { signal })
        await removeWhoLeft(deps, { client, signal, log })
      }
    },
  }
}

/** One look. A lease that is renewed meanwhile stays: its controller has come back. @throws KubeApiError, and what `memberNames` throws */
export async function removeWhoLeft(
  { controllers, memberNames }: Omit<LeftControllersDeps, 'client'>,
  { client, signal, log }: { readonly client: KubeClient; readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const silent = controllers.all().filter((controller) => controller.silentMs() > LEFT_AFTER_MS)
  if (silent.length === 0) return
  const members = await memberNames?.(signal)
  for (const left of leftControllers(silent, members)) {
    const options = { resourceVersion: left.version(), signal }
    try {
      await client.delete(controllerLeaseRef, `${CONTROLLER_LEASE_PREFIX}${left.name}`, options)
      log.info('controller has left', { controller: left.name })
    } catch (err) {
      if (!isNotFound(err) && !isConflict(err)) throw err
    }
  }
}

/** Those of `silent` that will not come back by themselves. Pure. */
export function leftControllers(
  silent: readonly KnownController[],
  members: readonly string[] | undefined,
): readonly KnownController[] {
  return silent.filter((controller) =>
    members === undefined ? controller.silentMs() > FORGET_AFTER_MS : !members.includes(controller.name),
  )
}
