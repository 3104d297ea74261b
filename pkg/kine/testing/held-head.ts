import mysql from 'mysql2/promise'
import { Client } from 'pg'
import type { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import type { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'

/** The head's row, locked as by an instance that is slow to commit, until it is disposed of. */
const LOCK_HEAD = 'SELECT * FROM k0s_meta FOR UPDATE'

/** Locks the head of a database. */
export async function holdPostgresHead({ dir, port }: PostgresServer, endpoint: string): Promise<AsyncDisposable> {
  const client = new Client({ host: dir, port, user: 'postgres', database: databaseOf(endpoint) })
  await client.connect()
  await client.query('BEGIN')
  await client.query(LOCK_HEAD)
  return { [Symbol.asyncDispose]: () => client.end() }
}

/** Locks the head of a database. */
export async function holdMariadbHead({ socketPath }: MariadbServer, endpoint: string): Promise<AsyncDisposable> {
  const connection = await mysql.createConnection({ socketPath, user: 'root', database: databaseOf(endpoint) })
  await connection.beginTransaction()
  await connection.query(LOCK_HEAD)
  return {
    [Symbol.asyncDispose]: async () => {
      await connection.rollback()
      await connection.end()
    },
  }
}

function databaseOf(endpoint: string): string {
  return endpoint.slice(endpoint.lastIndexOf('/') + 1)
}
