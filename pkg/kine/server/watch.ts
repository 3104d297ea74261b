import type { Backend, ChangeEvent, Revision } from '#pkg/kine/backend.ts'
import type { Call } from '#pkg/kine/server/call.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { toKeyRange } from '#pkg/kine/server/key-range.ts'
import { COMPACTED_TEXT } from '#pkg/kine/server/status.ts'
import type { StreamHandler } from '#pkg/kine/server/stream-handler.ts'
import { splitEvents } from '#pkg/kine/server/watch-events.ts'
import type { EventEncoder } from '#pkg/kine/server/watch-events.ts'
import type { WatchHub } from '#pkg/kine/watch/hub.ts'
import type { WatchStream } from '#pkg/kine/watch/stream.ts'
import type { Watcher, WatchOptions, WatchSink } from '#pkg/kine/watch/watcher.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** Watch id of answers that belong to no watch: a refused create, progress of the whole stream. */
const NO_WATCH_ID = -1
const NO_PUT = 0
const NO_DELETE = 1
/** Fields of WatchRequest. */
const CREATE = 1
const PROGRESS = 3
const EMPTY: Buffer = Buffer.alloc(0)
/** Answers that may wait for a client that does not read; then it is not read either. Events wait in the log. */
const MAX_WAITING_ANSWERS = 128
/** The smallest key, which stands for an empty one in a watch. */
const FIRST_KEY: Buffer = Buffer.from([0])

/** What the service works with; the encoder is shared by all streams. */
export interface WatchDeps {
  readonly store: Backend
  readonly hub: WatchHub
  readonly encoder: EventEncoder
}

/** Watch.Watch: creates are answered at once and in their order, events of a watch follow its answer. */
export function watch(deps: WatchDeps, call: Call): StreamHandler {
  const { store, hub } = deps
  const stream = hub.open(new CallSink(deps, call))
  const answers = new Answers(call)
  call.onDrain(() => {
    answers.onDrain()
    stream.resume()
  })
  return {
    get ready() {
      return answers.room
    },
    onMessage: (message) => handle(new WireReader(message), { store, stream, answers }),
    onEnd: () => call.finish(),
    onClose: () => stream.close(),
  }
}

/** Answers to creates and cancels, and how many of them wait for a client that does not read. */
class Answers {
  readonly #call: Call
  #waiting = 0

  constructor(call: Call) {
    this.#call = call
  }

  get room(): boolean {
    return this.#waiting < MAX_WAITING_ANSWERS
  }

  send(message: Buffer): void {
    if (!this.#call.writable) this.#waiting += 1
    this.#call.send(message)
  }

  /** The client has taken what was sent. */
  onDrain(): void {
    this.#waiting = 0
  }
}

interface Context {
  readonly store: Backend
  readonly stream: WatchStream
  readonly answers: Answers
}

/** WatchRequest: create 1, cancel 2, progress 3, of which the last one counts. Others are ignored, as by etcd. */
function handle(reader: WireReader, context: Context): void {
  let asked = 0
  let request: WireReader | undefined
  while (reader.next()) {
    if (reader.field < CREATE || reader.field > PROGRESS) reader.skip()
    else {
      asked = reader.field
      request = reader.message()
    }
  }
  if (request === undefined) return
  if (asked === CREATE) create(request, context)
  else if (asked === PROGRESS) context.stream.requestProgress()
  else cancel(request, context)
}

function create(reader: WireReader, { store, stream, answers }: Context): void {
  const { id, options } = decodeCreate(reader)
  const created = options.startRevision < 0 ? { refused: COMPACTED_TEXT } : stream.create(id, options)
  const header = encodeHeader(store, store.revision)
  if ('refused' in created) {
    answers.send(
      new WireWriter(128)
        .message(1, header)
        .int(2, NO_WATCH_ID)
        .bool(3, true)
        .bool(4, true)
        .string(6, created.refused)
        .finish(),
    )
    return
  }
  answers.send(new WireWriter(64).message(1, header).int(2, created.id).bool(3, true).finish())
  stream.resume()
}

function cancel(reader: WireReader, { store, stream, answers }: Context): void {
  let id = 0
  while (reader.next()) {
    if (reader.field === 1) id = reader.exactInt()
    else reader.skip()
  }
  if (!stream.cancel(id)) return
  const header = encodeHeader(store, store.revision)
  answers.send(new WireWriter(64).message(1, header).int(2, id).bool(4, true).finish())
}

/** WatchCreateRequest */
function decodeCreate(reader: WireReader): { readonly id: number; readonly options: WatchOptions } {
  let key = EMPTY
  let rangeEnd = EMPTY
  let id = 0
  const filters: number[] = []
  const numbers = new Map<number, number>()
  while (reader.next()) {
    if (reader.field === 1) key = reader.bytes()
    else if (reader.field === 2) rangeEnd = reader.bytes()
    else if (reader.field === 5) reader.repeatedInts(filters)
    else if (reader.field === 7) id = reader.exactInt()
    else if (reader.field <= 8) numbers.set(reader.field, reader.int())
    else reader.skip()
  }
  const flag = (field: number): boolean => (numbers.get(field) ?? 0) !== 0
  const options = {
    // A watcher outlives its request: copies keep the connection's buffers from staying alive.
    range: toKeyRange(Buffer.from(key.length === 0 ? FIRST_KEY : key), Buffer.from(rangeEnd)),
    startRevision: numbers.get(3) ?? 0,
    progressWanted: flag(4),
    withoutPuts: filters.includes(NO_PUT),
    withoutDeletes: filters.includes(NO_DELETE),
    previousWanted: flag(6),
    fragment: flag(8),
  }
  return { id, options }
}

/** Writes what the watches of a stream have to say as WatchResponse messages. */
class CallSink implements WatchSink {
  readonly #store: Backend
  readonly #encoder: EventEncoder
  readonly #call: Call

  constructor({ store, encoder }: WatchDeps, call: Call) {
    this.#store = store
    this.#encoder = encoder
    this.#call = call
  }

  get writable(): boolean {
    return this.#call.writable
  }

  sendEvents(watcher: Watcher, revision: Revision, events: readonly ChangeEvent[]): void {
    for (const part of splitEvents(watcher, events)) {
      // A response that leaves later ones out must not claim their revision: a client resumes behind the header.
      const header = encodeHeader(this.#store, part.last ? revision : part.revision)
      this.#call.send(this.#encoder.encode(watcher, header, part))
    }
  }

  sendCompacted(watcher: Watcher, compactRevision: Revision): void {
    const header = encodeHeader(this.#store, this.#store.revision)
    const response = new WireWriter(64).message(1, header).int(2, watcher.id).bool(4, true).int(5, compactRevision)
    this.#call.send(response.finish())
  }

  sendProgress(watchId: number, revision: Revision): void {
    this.#call.send(new WireWriter(64).message(1, encodeHeader(this.#store, revision)).int(2, watchId).finish())
  }
}
