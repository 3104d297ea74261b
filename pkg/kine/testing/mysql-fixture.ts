import assert from 'node:assert/strict'
import { MysqlDialect } from '#pkg/kine/dialect/mysql/mysql.ts'
import { parseEndpoint } from '#pkg/kine/endpoint/endpoint.ts'
import type { DatabaseTlsFiles } from '#pkg/kine/endpoint/tls.ts'
import { DATABASES } from '#pkg/kine/testing/database-servers.ts'
import type { MariadbServer } from '#pkg/kine/testing/mariadb-server.ts'
import { RecordingLogger } from '#pkg/kine/testing/recording-logger.ts'

const POOL = { maxOpen: 4, maxIdle: 4, maxIdleMs: 60_000, maxLifetimeMs: 0 }

/** What of a dialect a test wants otherwise. */
export interface DialectSettings {
  readonly tls?: DatabaseTlsFiles
  readonly readOnly?: boolean
}

/** What the tests of one block share: a database for each, and dialects that are closed behind it. */
export class MysqlFixture {
  log = new RecordingLogger()
  /** Of an empty database. */
  url = ''
  #server: MariadbServer | undefined
  readonly #opened: MysqlDialect[] = []

  /** To be called within `describe`. */
  static forEach(): MysqlFixture {
    const fixture = new MysqlFixture()
    beforeEach(async () => {
      fixture.#server = await DATABASES.mariadb()
      fixture.log = new RecordingLogger()
      fixture.url = await fixture.server.createDatabase()
    })
    afterEach(async () => {
      await Promise.all(fixture.#opened.splice(0).map((dialect) => dialect.close()))
      assert.doesNotMatch(fixture.log.lines.join('\n'), /p@ss/, 'no password in the log')
    })
    return fixture
  }

  get server(): MariadbServer {
    return this.#server ?? assert.fail('the server runs only while tests do')
  }

  /** Name of the database. */
  get database(): string {
    return this.url.slice(this.url.lastIndexOf('/') + 1)
  }

  dialectAt(endpoint: string, { tls, readOnly = false }: DialectSettings = {}): MysqlDialect {
    const parsed = parseEndpoint(endpoint, tls)
    assert.ok(parsed.type === 'mysql')
    const dialect = new MysqlDialect({ endpoint: parsed, pool: POOL, readOnly }, { log: this.log })
    this.#opened.push(dialect)
    return dialect
  }

  /** Two open dialects on the database. */
  async openTwo(): Promise<readonly [MysqlDialect, MysqlDialect]> {
    const two = [this.dialectAt(this.url), this.dialectAt(this.url)] as const
    await Promise.all(two.map((dialect) => dialect.open()))
    return two
  }
}
