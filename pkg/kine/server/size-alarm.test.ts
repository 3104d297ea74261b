import assert from 'node:assert/strict'
import { AlarmType, Alarms } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import { SizeAlarm } from '#pkg/kine/server/size-alarm.ts'
import { silentLogger } from '#pkg/log/logger.ts'

const GIB = 1024 ** 3

describe('size alarm', () => {
  let sizeBytes: number
  let writes: number
  let looks: number
  let lines: string[]
  let alarms: Alarms
  beforeEach(() => {
    sizeBytes = 0
    writes = 0
    looks = 0
    lines = []
    alarms = new Alarms()
  })
  const make = (quotaBytes: number): SizeAlarm => {
    const status = () => {
      looks += 1
      return Promise.resolve({
        clusterId: 1,
        memberId: 9,
        revision: 1,
        compactRevision: 1,
        sizeBytes,
        sizeInUseBytes: sizeBytes,
      })
    }
    const alarmActivate = (member: AlarmMember) => {
      alarms.replace([member])
      return Promise.resolve([member])
    }
    const say = (message: string): void => void lines.push(message)
    return new SizeAlarm(
      { quotaBytes },
      {
        store: { memberId: 9, status, alarms, alarmActivate },
        writes: () => writes,
        log: { ...silentLogger, warn: say, error: say },
      },
    )
  }

  it('is raised at the quota, stays until it is disarmed, and comes again with the next write', async () => {
    using alarm = make(100)
    await alarm.look()
    assert.deepEqual(alarms.list(), [])
    sizeBytes = 100
    await alarm.look()
    assert.equal(looks, 1, 'nothing was written')
    writes += 1
    await alarm.look()
    assert.deepEqual(alarms.list(), [{ memberId: 9, alarm: AlarmType.noSpace }])
    assert.throws(() => alarms.assertGrowable(), { kind: 'no-space' })
    alarms.assertChangeable()
    sizeBytes = 50
    writes += 1
    await alarm.look()
    assert.equal(alarms.list().length, 1)
    alarms.replace([])
    alarms.assertGrowable()
    sizeBytes = 200
    writes += 1
    await alarm.look()
    assert.equal(alarms.list().length, 1)
    assert.equal(lines.length, 2)
  })

  it('without a quota is a warning at 2 GiB, and whenever the size has doubled', async () => {
    using alarm = make(0)
    for (const size of [1, 2 * GIB, 3 * GIB, 4 * GIB, 5 * GIB, 17 * GIB, 20 * GIB]) {
      sizeBytes = size
      writes += 1
      await alarm.look()
    }
    assert.equal(lines.length, 3)
    assert.deepEqual(alarms.list(), [])
  })
})
