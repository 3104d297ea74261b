import type { MysqlError } from '#pkg/kine/dialect/mysql/errors.ts'
import type { Connector, SessionSetup } from '#pkg/kine/dialect/mysql/connector.ts'
import type { Session } from '#pkg/kine/dialect/mysql/session.ts'

/** One session for one purpose, made when it is needed and made again when it was lost. */
export class Lane {
  readonly #connector: Pick<Connector, 'connect'>
  readonly #setup: SessionSetup
  #session: Session | undefined
  #connecting: Promise<Session> | undefined

  constructor(connector: Pick<Connector, 'connect'>, setup: SessionSetup = {}) {
    this.#connector = connector
    this.#setup = setup
  }

  /** The session if there is one now. */
  get current(): Session | undefined {
    return this.#session?.alive === true ? this.#session : undefined
  }

  /** @throws MysqlError */
  get(): Promise<Session> {
    if (this.current !== undefined) return Promise.resolve(this.current)
    this.#connecting ??= this.#connector
      .connect(this.#setup)
      .then((session) => (this.#session = session))
      .finally(() => {
        this.#connecting = undefined
      })
    return this.#connecting
  }

  destroy(error: MysqlError): void {
    this.#session?.destroy(error)
  }

  /** Ends the session once its connection, if one is being made, stands. */
  async close(): Promise<void> {
    await this.#connecting?.catch(() => undefined)
    await this.#session?.close()
  }
}
