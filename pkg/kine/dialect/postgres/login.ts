import type { Duplex } from 'node:stream'
import type { ConnectionOptions } from 'node:tls'
import { Client } from 'pg'
import { errorMessage } from '#pkg/errors/error.ts'
import type { PostgresEndpoint, PostgresHost, PostgresTls } from '#pkg/kine/endpoint/postgres.ts'
import { readTlsFiles } from '#pkg/kine/endpoint/tls-files.ts'

/** Quiet time after which the kernel asks whether the other side still lives; it gives up ten seconds later. */
const KEEPALIVE_IDLE_MS = 5_000

/**
 * Opens a session with one host: TCP or Unix socket, TLS, and authentication (SCRAM, MD5, password, certificate), all of
 * it by pg. Returns the stream behind it, on which nothing is going on.
 *
 * @throws KineError if a TLS file cannot be read; else what pg throws
 */
export async function login(endpoint: PostgresEndpoint, { host, port }: PostgresHost): Promise<Duplex> {
  const { tls } = endpoint
  if (host.startsWith('/') || tls.mode === 'disable') return await connect(endpoint, { host, port }, false)
  const secure = await tlsOptions(tls)
  try {
    return await connect(endpoint, { host, port }, secure)
  } catch (error) {
    if (tls.mode !== 'prefer' || !/does not support SSL/.test(errorMessage(error))) throw error
    return await connect(endpoint, { host, port }, false)
  }
}

async function connect(
  endpoint: PostgresEndpoint,
  { host, port }: PostgresHost,
  ssl: false | ConnectionOptions,
): Promise<Duplex> {
  const { user, password, database, connectTimeoutMs, applicationName } = endpoint
  const client = new Client({
    host,
    port,
    user,
    // A function, so that pg looks for a password nowhere else.
    password: () => password ?? missingPassword(user),
    database,
    ssl,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEPALIVE_IDLE_MS,
    ...(endpoint.options !== '' && { options: endpoint.options }),
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
  } catch (error) {
    client.connection.stream.destroy()
    throw error
  }
  const { stream } = client.connection
  stream.removeAllListeners('data')
  return stream
}

function missingPassword(user: string): never {
  throw new Error(`no password given for user ${user}`)
}

/** 'require' and 'prefer' encrypt without asking who answers, as libpq does; an authority file makes them ask. */
async function tlsOptions({ mode, ...files }: PostgresTls): Promise<ConnectionOptions> {
  const verify = mode === 'verify-ca' || mode === 'verify-full' || (mode === 'require' && files.caFile !== undefined)
  return {
    rejectUnauthorized: verify,
    ...(verify && mode !== 'verify-full' && { checkServerIdentity: () => undefined }),
    ...(await readTlsFiles(files)),
  }
}
