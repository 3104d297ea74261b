import assert from 'node:assert/strict'
import type { ServiceError } from '@grpc/grpc-js'
import type { EtcdClient, EventMessage, TestStream } from '#pkg/kine/testing/etcd-client.ts'
import { RandomRequests } from '#pkg/kine/testing/random-requests.ts'
import type { RandomCall } from '#pkg/kine/testing/random-requests.ts'
import { TARGETS } from '#pkg/kine/suite/targets.ts'
import type { TestServer } from '#pkg/kine/testing/servers.ts'

const STEPS = 800
const SEEDS = [1, 2]
const EVERYTHING = { key: Buffer.from([0]), range_end: Buffer.from([0]) }
/** Fields that differ by nature, and the clock. */
const OWN = new Set(['cluster_id', 'member_id', 'raft_term'])

const etcd = TARGETS.find(({ name }) => name === 'etcd')

// Only where etcd has been built (make bins): it is the oracle.
for (const target of etcd === undefined ? [] : TARGETS.filter((candidate) => candidate !== etcd)) {
  for (const seed of SEEDS) {
    describe(`random requests, seed ${seed}, ${target.name} against etcd`, function () {
      this.timeout(120_000)
      let servers: TestServer[]
      before(async () => {
        servers = await Promise.all([target, etcd!].map((one) => one.start()))
      })
      after(() => Promise.all(servers.map((server) => server.stop())))

      it('get equal answers, and watchers equal events', async () => {
        const clients = servers.map((server) => server.connect())
        const live = await Promise.all(clients.map((client) => watchAll(client, 0)))
        const requests = new RandomRequests(seed)
        let position = { revision: 1, compactRevision: 0 }
        for (let step = 0; step < STEPS; step += 1) {
          const call = requests.next(position)
          const [ours, oracle] = await Promise.all(clients.map((client) => answer(client, call)))
          assert.deepEqual(ours, oracle, `step ${step}: ${call.method} ${JSON.stringify(comparable(call.request))}`)
          position = move(position, call, oracle as Answer)
        }
        const events = await Promise.all(live.map((stream) => eventsUpTo(stream, position.revision)))
        assert.deepEqual(events[0], events[1], 'events as they happened')
        for (const from of [position.compactRevision, position.compactRevision + 1]) {
          const late = await Promise.all(clients.map((client) => watchAll(client, from)))
          const history = await Promise.all(late.map((stream) => eventsUpTo(stream, position.revision)))
          assert.deepEqual(history[0], history[1], `history from ${from}`)
        }
      })
    })
  }
}

interface Answer {
  readonly code?: number
  readonly header?: { readonly revision: number }
}

function move(
  position: { readonly revision: number; readonly compactRevision: number },
  { method, request }: RandomCall,
  { code, header }: Answer,
): { revision: number; compactRevision: number } {
  const revision = Math.max(position.revision, header?.revision ?? 0)
  const compacted = method === 'KV/Compact' && code === undefined && 'revision' in request
  return { revision, compactRevision: compacted ? Number(request.revision) : position.compactRevision }
}

async function answer(client: EtcdClient, { method, request }: RandomCall): Promise<unknown> {
  try {
    const response = comparable(await client.call(method, request)) as Record<string, unknown>
    if (method !== 'Lease/LeaseTimeToLive') return response
    return { ...response, TTL: undefined, keys: (response['keys'] as string[]).toSorted() }
  } catch (error) {
    const { code, details } = error as ServiceError
    return { code, details }
  }
}

async function watchAll(client: EtcdClient, from: number): Promise<TestStream> {
  const stream = client.stream('Watch/Watch')
  stream.write({ create_request: { ...EVERYTHING, start_revision: from, prev_kv: true } })
  await stream.next()
  return stream
}

async function eventsUpTo(stream: TestStream, revision: number): Promise<unknown> {
  const events: EventMessage[] = []
  while ((events.at(-1)?.kv.mod_revision ?? 0) < revision) events.push(...(await stream.next()).events)
  stream.cancel()
  return comparable(events)
}

/** Plain data without the fields that name a server. */
function comparable(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('latin1')
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([name]) => !OWN.has(name))
  return Object.fromEntries(entries.map(([name, field]) => [name, comparable(field)]))
}
