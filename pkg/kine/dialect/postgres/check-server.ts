import type { Connection } from '#pkg/kine/dialect/postgres/connection.ts'
import { KineError } from '#pkg/kine/errors.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** The statements use what came with this version. */
const OLDEST_VERSION = 12

const CHECK = {
  name: 'check',
  sql: `SELECT current_setting('server_version_num')::bigint,
    current_setting('fsync') <> 'on', current_setting('full_page_writes') <> 'on'`,
  types: [],
}
const CHECK_TIMEOUT_MS = 5_000

/**
 * Says what no setting of a session can make good: a server that does not write to the disk.
 *
 * @throws KineError if the server is too old
 */
export async function checkServer(connection: Connection, log: Logger): Promise<void> {
  const server = await connection.first(CHECK, [], {
    timeoutMs: CHECK_TIMEOUT_MS,
    read: (row) => ({ version: Math.floor(row.number() / 10_000), noSync: row.boolean(), tornPages: row.boolean() }),
  })
  if (server === undefined) return
  if (server.version < OLDEST_VERSION) {
    throw new KineError(`the database is PostgreSQL ${server.version}; kine needs ${OLDEST_VERSION} or later`)
  }
  const settings = [...(server.noSync ? ['fsync'] : []), ...(server.tornPages ? ['full_page_writes'] : [])]
  if (settings.length === 0) return
  log.warn('settings of the database server are off: a power failure may take back what was acknowledged', { settings })
}
