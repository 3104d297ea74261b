import { Connector } from '#pkg/kine/dialect/mysql/connector.ts'
import type { Row } from '#pkg/kine/dialect/mysql/session.ts'
import type { MysqlEndpoint } from '#pkg/kine/endpoint/mysql.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A user sees all sessions of its own; the host is one with a port. */
const SESSIONS = `SELECT DISTINCT SUBSTRING_INDEX(HOST, ':', 1) FROM information_schema.PROCESSLIST
  WHERE DB = DATABASE() AND USER = SUBSTRING_INDEX(USER(), '@', 1) AND ID <> CONNECTION_ID() AND COMMAND <> 'Killed'
  ORDER BY 1`
const TIMEOUT_MS = 5_000

/** Where else the user of the endpoint is connected to its database, one text a host. @throws MysqlError */
export async function otherMysqlSessions(
  endpoint: MysqlEndpoint,
  { log }: { readonly log: Logger },
): Promise<readonly string[]> {
  const session = await new Connector(endpoint, { log, onOutage: () => undefined }).connect()
  try {
    const rows = (await session.query(SESSIONS, TIMEOUT_MS)) as readonly Row[]
    return rows.map(([host]) => String(host))
  } finally {
    await session.close()
  }
}
