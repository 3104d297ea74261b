import { errorMessage } from '#pkg/errors/error.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** What is asked of etcd. */
export interface HandOverDeps {
  /** Makes the member with this id lead. @throws EtcdError when it does not take over in time */
  readonly moveLeader: (id: string) => Promise<void>
}

/** All disks may be slow; then leading goes round no faster than this. */
const AGAIN_AFTER_MS = 60_000

/**
 * Lets another member of etcd lead while the disk of this one is slow. Raft does not see to that: heartbeats still go out now and then,
 * so the others elect nobody, and every write of the cluster waits for the one bad disk.
 */
export class HandOver {
  readonly #deps: HandOverDeps
  #doneAtMs = -Infinity
  #attempts = 0

  constructor(deps: HandOverDeps) {
    this.#deps = deps
  }

  /**
   * Does it, unless it was done a moment ago or there is nobody. What fails is logged, and another member is next then.
   *
   * @param others who may lead: members that answer
   */
  async to(others: readonly EtcdMember[], log: Logger): Promise<void> {
    if (performance.now() - this.#doneAtMs < AGAIN_AFTER_MS) return
    const next = nextLeader(others, this.#attempts)
    if (next === undefined) return
    try {
      await this.#deps.moveLeader(next.id)
      this.#doneAtMs = performance.now()
      log.warn('another member leads, since the disk of this one is slow', { member: next.name })
    } catch (err) {
      this.#attempts += 1
      log.warn('the disk of this member is slow, and no other one leads yet', {
        member: next.name,
        err: errorMessage(err),
      })
    }
  }
}

/** The member that is asked at the attempt of this number, counted from 0; one that does not vote cannot lead. Pure. */
export function nextLeader(others: readonly EtcdMember[], attempt: number): EtcdMember | undefined {
  const voters = others.filter(({ isLearner }) => !isLearner).toSorted((a, b) => a.name.localeCompare(b.name))
  return voters[attempt % voters.length]
}
