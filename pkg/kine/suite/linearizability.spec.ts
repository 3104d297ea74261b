import { sleep } from '#pkg/lifecycle/sleep.ts'
import { KeyHistories } from '#pkg/kine/testing/key-histories.ts'
import { checkLinearizable } from '#pkg/kine/testing/linearizability.ts'
import { Random } from '#pkg/kine/testing/random.ts'
import { REGISTER } from '#pkg/kine/testing/register.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'
import { KINE_TARGETS, SHARED_TARGETS, TARGETS } from '#pkg/kine/suite/targets.ts'

const KEYS = ['lin/a', 'lin/b', 'lin/c', 'lin/d']
const CLIENTS = 8
const MAX_CALLS = 250
const RACE_MS = 3000
/** Wait of a client whose server is away. */
const RETRY_MS = 10

describe('linearizability', function () {
  this.timeout(120_000)

  for (const target of TARGETS) {
    it(`of racing clients on ${target.name}`, async () => {
      await using store = await target.create()
      const server = await store.serve()
      await race(() => server)
    })
  }

  for (const target of SHARED_TARGETS) {
    it(`of clients that race on two instances over one ${target.name}`, async () => {
      await using store = await target.create()
      const servers = [await store.serve(), await store.serve()] as const
      await race((client) => servers[client % 2 === 0 ? 0 : 1])
    })
  }

  for (const target of KINE_TARGETS) {
    it(`of racing clients on ${target.name}, over restarts of the server`, async () => {
      await using store = await target.create()
      let server = await store.serve()
      let over = false
      const restarts = (async () => {
        for (let i = 0; i < 2 && !isTrue(over); i += 1) {
          await sleep(300)
          await server.stop()
          server = await store.serve()
        }
      })()
      await race(() => server)
      over = true
      await restarts
    })
  }
})

/** Lets clients loose on a few keys; their history must have an explanation for each key. */
async function race(serverOf: (client: number) => TestServer): Promise<void> {
  const seed = Math.floor(Math.random() * 1e6)
  const histories = new KeyHistories(KEYS)
  const endsAt = performance.now() + RACE_MS
  const clients = Array.from({ length: CLIENTS }, async (_, client) => {
    const random = new Random(seed + client)
    let server = serverOf(client)
    let etcd = server.connect()
    for (let i = 0; i < MAX_CALLS && performance.now() < endsAt; i += 1) {
      if (server !== serverOf(client)) {
        server = serverOf(client)
        etcd = server.connect()
      }
      if (!(await histories.call(etcd, client, random))) await sleep(RETRY_MS)
    }
  })
  await Promise.all(clients)
  for (const [key, history] of histories.all) {
    const verdict = checkLinearizable(history, REGISTER)
    if (verdict.linearizable) continue
    const lines = [...verdict.explained.slice(-8), 'then none of:', ...verdict.stuck].map((line) =>
      JSON.stringify(line),
    )
    throw new Error(`${key} is not linearizable, seed ${seed}, ${history.length} calls:\n${lines.join('\n')}`)
  }
}

/** A call: TypeScript keeps a variable narrowed that a closure changes. */
const isTrue = (value: boolean): boolean => value
