import { DatastoreInUseError } from '#pkg/datastore/errors.ts'
import type { Endpoint } from '#pkg/kine/endpoint/endpoint.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'

/** A server takes a moment to notice that a program has ended, such as the migration that this one goes on with. */
const PATIENCE_MS = 3_000
const INTERVAL_MS = 200
/** Of those in the message. */
const NAMED = 3

/** What it asks. */
export interface UnusedDeps {
  readonly otherSessions: (endpoint: Endpoint) => Promise<readonly string[]>
}

/**
 * That no kine uses a database, before anything is read or made there. A database that cannot be asked is opened next,
 * which says why.
 *
 * @throws DatastoreInUseError
 */
export async function checkUnused(endpoint: Endpoint, name: string, { otherSessions }: UnusedDeps): Promise<void> {
  const since = performance.now()
  for (;;) {
    const sessions = await otherSessions(endpoint).catch(() => [])
    if (sessions.length === 0) return
    if (performance.now() - since > PATIENCE_MS) throw inUse(name, [...new Set(sessions)])
    await sleep(INTERVAL_MS)
  }
}

function inUse(name: string, sessions: readonly string[]): DatastoreInUseError {
  const more = sessions.length > NAMED ? ` and ${String(sessions.length - NAMED)} more` : ''
  return new DatastoreInUseError(
    `${name} is in use by its user from ${sessions.slice(0, NAMED).join(', ')}${more}: stop k0s on every controller, and whatever else is connected, and run the same command again`,
  )
}
