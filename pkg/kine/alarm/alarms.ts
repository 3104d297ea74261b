import { StoreError } from '#pkg/kine/errors.ts'

/** etcdserverpb.AlarmType; `none` stands for all of them in a question. */
export const AlarmType = { none: 0, noSpace: 1, corrupt: 2 } as const
/** One of AlarmType. */
export type AlarmType = (typeof AlarmType)[keyof typeof AlarmType]

/** etcdserverpb.AlarmMember: who raised what. */
export interface AlarmMember {
  /** An int64 in one form, as ids of leases are. */
  readonly memberId: number | bigint
  readonly alarm: AlarmType
}

/** What a commit raises and disarms. */
export interface AlarmChanges {
  readonly raised: readonly AlarmMember[]
  readonly disarmed: readonly AlarmMember[]
}

/**
 * The alarms of a store, in memory. Only apply.ts changes it, with what has been committed: as in etcd an alarm that is
 * raised holds for everybody, over restarts, until somebody disarms it. `no space` refuses what lets the store grow,
 * `corrupt` every change.
 */
export class Alarms {
  #members: readonly AlarmMember[]

  constructor(members: readonly AlarmMember[] = []) {
    this.#members = members
  }

  list(type: AlarmType = AlarmType.none): readonly AlarmMember[] {
    return this.#members.filter(({ alarm }) => type === AlarmType.none || alarm === type)
  }

  /** These are all from now on. */
  replace(members: readonly AlarmMember[]): void {
    this.#members = members
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

/** What leads from one list to another. */
export function alarmChanges(before: readonly AlarmMember[], after: readonly AlarmMember[]): AlarmChanges {
  return {
    raised: after.filter((member) => !includes(before, member)),
    disarmed: before.filter((member) => !includes(after, member)),
  }
}

/** With one more; the same list if it is there. */
export function withAlarm(members: readonly AlarmMember[], member: AlarmMember): readonly AlarmMember[] {
  return includes(members, member) ? members : [...members, member]
}

/** With one less; the same list if it is not there. */
export function withoutAlarm(members: readonly AlarmMember[], member: AlarmMember): readonly AlarmMember[] {
  return includes(members, member) ? members.filter((other) => !isSame(other, member)) : members
}

/** An alarm as it is stored; a type that this program does not know refuses nothing. */
export function toAlarmType(value: number): AlarmType | undefined {
  return Object.values(AlarmType).find((type) => type === value)
}

function includes(members: readonly AlarmMember[], member: AlarmMember): boolean {
  return members.some((other) => isSame(other, member))
}

function isSame(a: AlarmMember, b: AlarmMember): boolean {
  return a.memberId === b.memberId && a.alarm === b.alarm
}
