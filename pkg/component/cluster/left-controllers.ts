import { CONTROLLER_LEASE_PREFIX, controllerLeaseRef } from '#pkg/component/cluster/controller-lease.ts'
import type { Controllers, KnownController } from '#pkg/component/cluster/controllers.ts'
import type { LeaderTask } from '#pkg/component/cluster/leader.ts'
import { isNotFound } from '#pkg/kubernetes/errors.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

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

/** The leader's part: removes the leases of controllers that have left, and with them their addresses from all workers. */
export function removeLeftControllers(deps: LeftControllersDeps): LeaderTask {
  return {
    name: 'left-controllers',
    run: async (signal, log) => {
      const client = await deps.client.get()
      for (;;) {
        await sleep(LOOK_EVERY_MS, { signal })
        const expired = deps.controllers.all().filter((controller) => controller.expiredMs() > 0)
        if (expired.length === 0) continue
        const members = await deps.memberNames?.(signal)
        for (const { name } of leftControllers(expired, members)) {
          await client
            .delete(controllerLeaseRef, `${CONTROLLER_LEASE_PREFIX}${name}`, { signal })
            .catch((err: unknown) => {
              if (!isNotFound(err)) throw err
            })
          log.info('controller has left', { controller: name })
        }
      }
    },
  }
}

/** Those of `expired` that will not come back by themselves. Pure. */
export function leftControllers(
  expired: readonly KnownController[],
  members: readonly string[] | undefined,
): readonly KnownController[] {
  return expired.filter((controller) =>
    members === undefined ? controller.expiredMs() > FORGET_AFTER_MS : !members.includes(controller.name),
  )
}
