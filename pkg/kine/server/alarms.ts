import type { LeaseId } from '#pkg/kine/backend.ts'
import { StoreError } from '#pkg/kine/errors.ts'

/** etcdserverpb.AlarmType; `none` stands for all of them in a question. */
export const AlarmType = { none: 0, noSpace: 1, corrupt: 2 } as const
/** One of AlarmType. */
export type AlarmType = (typeof AlarmType)[keyof typeof AlarmType]

/** etcdserverpb.AlarmMember: who raised what. */
export interface AlarmMember {
  readonly memberId: LeaseId
  readonly alarm: AlarmType
}

/**
 * The alarms of this process. As in etcd, one that is raised stays until somebody disarms it: `no space` refuses what
 * lets the store grow, `corrupt` every change. Unlike etcd's they end with the process, and each instance of a shared
 * database has its own: whoever raises them has to do it on each, and after a restart.
 */
export class Alarms {
  /** Size from which on `no space` is raised, for Status; 0: none. */
  readonly quotaBytes: number
  #members: readonly AlarmMember[] = []

  constructor(quotaBytes = 0) {
    this.quotaBytes = quotaBytes
  }

  list(type: AlarmType = AlarmType.none): readonly AlarmMember[] {
    return this.#members.filter(({ alarm }) => type === AlarmType.none || alarm === type)
  }

  /** Raises an alarm, or finds it raised. */
  activate(member: AlarmMember): readonly AlarmMember[] {
    if (member.alarm === AlarmType.none) return []
    if (!this.#members.some((other) => isSame(other, member))) this.#members = [...this.#members, member]
    return [member]
  }

  /** What was disarmed; nothing if that member has not raised this alarm. */
  deactivate(member: AlarmMember): readonly AlarmMember[] {
    const found = this.#members.filter((other) => isSame(other, member))
    this.#members = this.#members.filter((other) => !isSame(other, member))
    return found
  }

  /** @throws StoreError 'corrupt' */
  assertChangeable(): void {
    if (this.#isRaised(AlarmType.corrupt)) throw new StoreError('corrupt')
  }

  /** @throws StoreError 'corrupt', 'no-space' */
  assertGrowable(): void {
    this.assertChangeable()
    if (this.#isRaised(AlarmType.noSpace)) throw new StoreError('no-space')
  }

  #isRaised(type: AlarmType): boolean {
    return this.#members.some(({ alarm }) => alarm === type)
  }
}

function isSame(a: AlarmMember, b: AlarmMember): boolean {
  return a.memberId === b.memberId && a.alarm === b.alarm
}
