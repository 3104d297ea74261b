import { Access } from '#pkg/kine/dialect/postgres/access.ts'
import type { Statement } from '#pkg/kine/dialect/postgres/connection.ts'
import type { PostgresEndpoint } from '#pkg/kine/endpoint/postgres.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** A user sees all sessions of its own. */
const SESSIONS: Statement = {
  name: 'other_sessions',
  sql: `SELECT coalesce(host(client_addr), 'this host'), coalesce(application_name, '') FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND backend_type = 'client backend'
      AND pid <> pg_backend_pid() ORDER BY 1, 2`,
  types: [],
}
const TIMEOUT_MS = 5_000

/** Where else the user of the endpoint is connected to its database, one text a session. @throws KineError, StoreError */
export async function otherPostgresSessions(
  endpoint: PostgresEndpoint,
  deps: { readonly log: Logger },
): Promise<readonly string[]> {
  const connection = await new Access(endpoint, deps).connectFirst({ create: false })
  try {
    const sessions: string[] = []
    await connection.query(SESSIONS, [], {
      timeoutMs: TIMEOUT_MS,
      onRow: (row) => {
        const [host, program] = [row.text(), row.text()]
        sessions.push(program === '' ? host : `${host} (${program})`)
      },
    })
    return sessions
  } finally {
    connection.end()
  }
}
