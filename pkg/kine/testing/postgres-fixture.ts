import assert from 'node:assert/strict'
import { PostgresDialect } from '#pkg/kine/dialect/postgres/postgres.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import type { PostgresServer } from '#pkg/kine/testing/postgres-server.ts'
import { RecordingLogger } from '#pkg/kine/testing/recording-logger.ts'

const POOL = { maxOpen: 4, maxIdle: 4, maxIdleMs: 60_000, maxLifetimeMs: 0 }

/** What of a dialect a test wants otherwise. */
export interface DialectSettings {
  readonly tls?: DatabaseTlsFiles
  readonly connectTimeoutMs?: number
  readonly readOnly?: boolean
}

/** What the tests of one block share: a database for each, and dialects that are closed behind it. */
export class PostgresFixture {
  log = new RecordingLogger()
  /** Of an empty database. */
  url = ''
  #server: PostgresServer | undefined
  readonly #opened: PostgresDialect[] = []

  /** To be called within `describe`. */
  static forEach(): PostgresFixture {
    const fixture = new PostgresFixture()
    beforeEach(async () => {
      fixture.#server = await DATABASES.postgres()
      fixture.log = new RecordingLogger()
      fixture.url = `${await fixture.server.createDatabase()}?sslmode=disable`
    })
    afterEach(async () => {
      for (const dialect of fixture.#opened.splice(0)) await dialect.close()
      assert.doesNotMatch(fixture.log.lines.join('\n'), /p%40ss|p@ss/, 'no password in the log')
    })
    return fixture
  }

  get server(): PostgresServer {
    return this.#server ?? assert.fail('the server runs only while tests do')
  }

  /** Name of the database. */
  get database(): string {
    return new URL(this.url).pathname.slice(1)
  }

  dialectAt(
    endpoint: string,
    { tls, connectTimeoutMs = 10_000, readOnly = false }: DialectSettings = {},
  ): PostgresDialect {
    const parsed = parseEndpoint(endpoint, tls)
    assert.ok(parsed.type === 'postgres')
    // A connection may take its time where the tests share two processors; how long is only of interest when it hangs.
    const options = { endpoint: { ...parsed, connectTimeoutMs }, pool: POOL, readOnly }
    const dialect = new PostgresDialect(options, { log: this.log })
    this.#opened.push(dialect)
    return dialect
  }
}
