import assert from 'node:assert/strict'
import type { ServiceError } from '@grpc/grpc-js'
import type { EtcdClient } from '#pkg/kine/testing/etcd-client.ts'
import { b, rejectsWith } from '#pkg/kine/testing/requests.ts'
import { onEach } from '#pkg/kine/suite/fixture.ts'
import { KINE_TARGETS, TARGETS } from '#pkg/kine/suite/targets.ts'

const OTHER = '5'
const FAILED_PRECONDITION = 9
const NO_USER = 'etcdserver: user name not found'
const NO_ROLE = 'etcdserver: role name not found'

/** Calls that a cluster of one member without users answers so: method, request, code and text; OK without. */
const ANSWERS: readonly (readonly [method: string, request: object, code?: number, text?: string])[] = [
  ['Auth/AuthStatus', {}],
  ['Auth/AuthEnable', {}, FAILED_PRECONDITION, 'etcdserver: root user does not exist'],
  ['Auth/AuthDisable', {}],
  ['Auth/Authenticate', { name: 'a', password: 'b' }, FAILED_PRECONDITION, 'etcdserver: authentication is not enabled'],
  ['Auth/UserList', {}],
  ['Auth/UserAdd', { name: '' }, 3, 'etcdserver: user name is empty'],
  ['Auth/UserGet', { name: 'a' }, FAILED_PRECONDITION, NO_USER],
  ['Auth/UserDelete', { name: 'a' }, FAILED_PRECONDITION, NO_USER],
  ['Auth/UserChangePassword', { name: 'a', password: 'b' }, FAILED_PRECONDITION, NO_USER],
  ['Auth/UserGrantRole', { user: 'a', role: 'b' }, FAILED_PRECONDITION, NO_USER],
  ['Auth/UserRevokeRole', { name: 'a', role: 'b' }, FAILED_PRECONDITION, NO_USER],
  ['Auth/RoleList', {}],
  ['Auth/RoleAdd', { name: '' }, 3, 'etcdserver: role name is empty'],
  ['Auth/RoleGet', { role: 'a' }, FAILED_PRECONDITION, NO_ROLE],
  ['Auth/RoleDelete', { role: 'a' }, FAILED_PRECONDITION, NO_ROLE],
  ['Auth/RoleGrantPermission', { name: 'a', perm: { key: b('a') } }, FAILED_PRECONDITION, NO_ROLE],
  ['Auth/RoleRevokePermission', { role: 'a', key: b('a') }, FAILED_PRECONDITION, NO_ROLE],
  ['Cluster/MemberRemove', { ID: OTHER }, 5, 'etcdserver: member not found'],
  ['Cluster/MemberUpdate', { ID: OTHER, peerURLs: ['http://127.0.0.1:1'] }, 5, 'etcdserver: member not found'],
  ['Cluster/MemberPromote', { ID: OTHER }, 5, 'etcdserver: member not found'],
  ['Maintenance/MoveLeader', { targetID: OTHER }, FAILED_PRECONDITION, 'etcdserver: bad leader transferee'],
  ['Maintenance/Downgrade', { version: 'x' }, 3, 'etcdserver: wrong downgrade target version format'],
  ['Maintenance/Downgrade', { version: '3.1.0' }, 3, 'etcdserver: invalid downgrade target version'],
]

const SERVICES: Readonly<Record<string, readonly string[]>> = {
  KV: ['Range', 'Put', 'DeleteRange', 'Txn', 'Compact'],
  Lease: ['LeaseGrant', 'LeaseRevoke', 'LeaseTimeToLive', 'LeaseLeases'],
  Cluster: ['MemberList', 'MemberAdd', 'MemberRemove', 'MemberUpdate', 'MemberPromote'],
  Maintenance: ['Alarm', 'Status', 'Defragment', 'Hash', 'HashKV', 'Snapshot', 'MoveLeader', 'Downgrade'],
  Auth: [
    ...['AuthEnable', 'AuthDisable', 'AuthStatus', 'Authenticate', 'UserAdd', 'UserGet', 'UserList', 'UserDelete'],
    ...['UserChangePassword', 'UserGrantRole', 'UserRevokeRole', 'RoleAdd', 'RoleGet', 'RoleList', 'RoleDelete'],
    ...['RoleGrantPermission', 'RoleRevokePermission'],
  ],
}

onEach(TARGETS, 'services', (on) => {
  const self = async (etcd: EtcdClient): Promise<string> => {
    const { members } = (await etcd.exact('Cluster/MemberList', {})) as { members: { ID: string }[] }
    return members[0]!.ID
  }

  it('answer what does not apply to one member without users as etcd does', async () => {
    for (const [method, request, code, text] of ANSWERS) {
      const call = on.etcd.exact(method, request)
      if (code === undefined) assert.ok(await call, method)
      else await rejectsWith(call, code, text!)
    }
  })

  it('know their own member', async () => {
    const id = await self(on.etcd)
    assert.ok(await on.etcd.exact('Maintenance/MoveLeader', { targetID: id }))
    const text = 'etcdserver: can only promote a learner member'
    await rejectsWith(on.etcd.exact('Cluster/MemberPromote', { ID: id }), FAILED_PRECONDITION, text)
    const refused = 'etcdserver: re-configuration failed due to not enough started members'
    await rejectsWith(on.etcd.exact('Cluster/MemberRemove', { ID: id }), 2, refused)
  })

  it('refuse what is no message', async () => {
    await assert.rejects(on.etcd.raw('KV/Range', b('\xff\xff\xff')), { code: 13 })
    await assert.rejects(on.etcd.raw('KV/Nothing', b('')), { code: 12 })
    await assert.rejects(on.etcd.raw('Nothing/Range', b('')), { code: 12 })
  })
})

onEach(KINE_TARGETS, 'all services', (on) => {
  it('have every method, or say why not', async () => {
    for (const [service, methods] of Object.entries(SERVICES)) {
      for (const method of methods) {
        const error = await on.etcd.call(`${service}/${method}`, {}).then(
          () => undefined,
          (reason: unknown) => reason as ServiceError,
        )
        const code: number = error?.code ?? 0
        const details = error?.details ?? ''
        if (code === 12) assert.match(details, /kine/, `${service}/${method}`)
        assert.notEqual(code, 2, `${service}/${method}: ${details}`)
        assert.notEqual(code, 13, `${service}/${method}: ${details}`)
      }
    }
  })

  it('name `k0s backup` instead of a snapshot', async () => {
    const stream = on.etcd.stream('Maintenance/Snapshot')
    stream.write({})
    stream.end()
    await assert.rejects(stream.next(), { code: 12, details: /k0s backup/ })
  })
})
