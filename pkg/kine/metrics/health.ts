import { errorMessage } from '#pkg/errors/error.ts'
import type { Backend } from '#pkg/kine/backend.ts'
import { AlarmType } from '#pkg/kine/alarm/alarms.ts'
import { toStatus } from '#pkg/kine/server/status.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** Parameters of etcd's /health. */
export interface HealthQuestion {
  /** Only whether this instance answers, not whether it reaches the database. */
  readonly serializable: boolean
  /** Names of alarms that do not matter. */
  readonly excludedAlarms: readonly string[]
}

/** Time that a consistent read may take. */
const TIMEOUT_MS = 5_000
/** The key that etcd looks for; it need not exist. */
const KEY = Buffer.from('health')
const NAMES = [
  [AlarmType.noSpace, 'NOSPACE'],
  [AlarmType.corrupt, 'CORRUPT'],
] as const

/** Why the store is not healthy in the words of etcd, empty if it is: an alarm, or a read that fails. */
export async function whyUnhealthy(store: Backend, question: HealthQuestion): Promise<string> {
  for (const [type, name] of NAMES) {
    if (store.alarms.list(type).length > 0 && !question.excludedAlarms.includes(name)) return `ALARM ${name}`
  }
  const timeout = new AbortController()
  try {
    const late = sleep(TIMEOUT_MS, { signal: timeout.signal }).then(() => 'RANGE ERROR:context deadline exceeded')
    return await Promise.race([read(store, question.serializable), late])
  } catch (error) {
    return `RANGE ERROR:${toStatus(error).message || errorMessage(error)}`
  } finally {
    timeout.abort()
  }
}

async function read(store: Backend, serializable: boolean): Promise<string> {
  const found = await store.range({
    range: { start: KEY },
    revision: 0,
    limit: 1,
    serializable,
    sortOrder: 'none',
    sortTarget: 'key',
    keysOnly: false,
    countOnly: true,
    minModRevision: 0,
    maxModRevision: 0,
    minCreateRevision: 0,
    maxCreateRevision: 0,
  })
  found[Symbol.dispose]()
  // A read of a database that nobody else writes to is answered from memory.
  if (!serializable) await store.status()
  return ''
}
