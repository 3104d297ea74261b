import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'
import type { TestTarget } from '#pkg/kine/testing/targets.ts'

/** What the tests of one block share. The server is there only while they run: do not destructure outside of them. */
export interface Fixture {
  readonly target: TestTarget
  /** Empty at the beginning of the block. */
  readonly server: TestServer
  /** A client of `server`. */
  readonly etcd: EtcdClient
}

/** A `describe` for each store, around one server. */
export function onEach(targets: readonly TestTarget[], title: string, define: (on: Fixture) => void): void {
  for (const target of targets) {
    describe(`${title} on ${target.name}`, () => {
      let server: TestServer | undefined
      let etcd: EtcdClient | undefined
      before(async () => {
        server = await target.start()
        etcd = server.connect()
      })
      after(() => server?.stop())
      define({
        target,
        get server() {
          return there(server)
        },
        get etcd() {
          return there(etcd)
        },
      })
    })
  }
}

function there<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the server runs only while tests do')
  return value
}
