import assert from 'node:assert/strict'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import type { EventMessage, Message } from '#pkg/kine/testing/etcd-messages.ts'
import type { TestStream } from '#pkg/kine/testing/etcd-stream.ts'

/** Creates a watch on a stream; resolves with the answer to it. */
export async function createWatch(stream: TestStream, request: object): Promise<Message> {
  stream.write({ create_request: request })
  const created = await stream.next()
  assert.equal(created.created, true)
  return created
}

/** A stream of its own with one watch, which has been answered. */
export async function openWatch(etcd: EtcdClient, request: object): Promise<TestStream> {
  const stream = etcd.stream('Watch/Watch')
  await createWatch(stream, request)
  return stream
}

/** The next events, at least `count`. */
export async function eventsOf(stream: TestStream, count: number): Promise<EventMessage[]> {
  const events: EventMessage[] = []
  while (events.length < count) events.push(...(await stream.next()).events)
  return events
}

/** `p` or `d`, key, value, previous value. */
export const showEvent = ({ type, kv, prev_kv: previous }: EventMessage): string =>
  [type === 'Delete' ? 'd' : 'p', kv.key, kv.value, ...(previous === null ? [] : [previous.value])]
    .map(String)
    .join(' ')

/** Asks until the server says that all watches of the stream have got everything up to `revision`; gives what came. */
export async function messagesUpTo(stream: TestStream, revision: number): Promise<Message[]> {
  const messages: Message[] = []
  const asking = setInterval(() => stream.write({ progress_request: {} }), PROGRESS_RETRY_MS)
  try {
    stream.write({ progress_request: {} })
    for (;;) {
      const message = await stream.next()
      messages.push(message)
      if (message.watch_id === -1 && !message.created && message.header.revision >= revision) return messages
    }
  } finally {
    clearInterval(asking)
  }
}

/** As often as the API server asks. */
const PROGRESS_RETRY_MS = 100
