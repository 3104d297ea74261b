import type { Backend } from '#pkg/kine/backend.ts'
import type { UnaryHandler } from '#pkg/kine/server/grpc-server.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/** etcd's revision of a store of users that has never been touched. */
const AUTH_REVISION = 1

/**
 * The Auth service of an etcd whose authentication is off and that has no users: who may connect is decided by TLS
 * client certificates.
 */
export function authMethods(store: Backend): readonly (readonly [path: string, handler: UnaryHandler])[] {
  const headed = (): WireWriter => new WireWriter().message(1, encodeHeader(store, store.revision))
  const empty: UnaryHandler = () => Promise.resolve(headed().finish())
  const handlers: Readonly<Record<string, UnaryHandler>> = {
    AuthStatus: () => Promise.resolve(headed().int(3, AUTH_REVISION).finish()),
    AuthEnable: refusal('etcdserver: root user does not exist'),
    AuthDisable: empty,
    Authenticate: refusal('etcdserver: authentication is not enabled'),
    UserList: empty,
    UserAdd: (request) => Promise.reject(cannotAdd(request, 'user')),
    RoleList: empty,
    RoleAdd: (request) => Promise.reject(cannotAdd(request, 'role')),
    ...fromEach(['UserGet', 'UserDelete', 'UserChangePassword', 'UserGrantRole', 'UserRevokeRole'], USER_NOT_FOUND),
    ...fromEach(['RoleGet', 'RoleDelete', 'RoleGrantPermission', 'RoleRevokePermission'], ROLE_NOT_FOUND),
  }
  return Object.entries(handlers).map(([name, handler]) => [`/etcdserverpb.Auth/${name}`, handler])
}

const USER_NOT_FOUND = 'etcdserver: user name not found'
const ROLE_NOT_FOUND = 'etcdserver: role name not found'

function refusal(text: string): UnaryHandler {
  return () => Promise.reject(new GrpcError(GrpcCode.failedPrecondition, text))
}

function fromEach(names: readonly string[], text: string): Readonly<Record<string, UnaryHandler>> {
  return Object.fromEntries(names.map((name) => [name, refusal(text)]))
}

/** Both requests have the name first. */
function cannotAdd(request: Buffer, what: 'user' | 'role'): GrpcError {
  const reader = new WireReader(request)
  let name = ''
  while (reader.next()) {
    if (reader.field === 1) name = reader.bytes().toString()
    else reader.skip()
  }
  if (name === '') return new GrpcError(GrpcCode.invalidArgument, `etcdserver: ${what} name is empty`)
  return new GrpcError(
    GrpcCode.unimplemented,
    `etcdserver: ${what}s are not supported by kine; use TLS client certificates`,
  )
}
