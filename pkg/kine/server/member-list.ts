import type { Backend } from '#pkg/kine/backend.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** Cluster.MemberList: this one member, under the addresses that it listens on. */
export function memberList(store: Backend, clientUrls: readonly string[]): Promise<Buffer> {
  const member = new WireWriter().int(1, store.memberId).string(2, 'kine')
  for (const url of clientUrls) member.string(4, url)
  const response = new WireWriter().message(1, encodeHeader(store, store.revision)).message(2, member.finish())
  return Promise.resolve(response.finish())
}
