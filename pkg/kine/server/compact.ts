import type { Backend } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** KV.Compact; rows are deleted in the background, `physical` does not wait for it. */
export async function compact(store: Backend, request: Buffer): Promise<Buffer> {
  const reader = new WireReader(request)
  let revision = 0
  while (reader.next()) {
    if (reader.field === 1) revision = reader.int()
    else reader.skip()
  }
  const current = await store.compact(revision)
  return new WireWriter().message(1, encodeHeader(store, current)).finish()
}
