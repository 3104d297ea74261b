import type { Backend, LeaseId, Revision } from '#pkg/kine/backend.ts'
import { AlarmType, toAlarmType } from '#pkg/kine/alarm/alarms.ts'
import type { AlarmMember } from '#pkg/kine/alarm/alarms.ts'
import { encodeHeader } from '#pkg/kine/server/header.ts'
import { GrpcCode, GrpcError } from '#pkg/kine/server/status.ts'
import { WireReader } from '#pkg/kine/wire/reader.ts'
import { WireWriter } from '#pkg/kine/wire/writer.ts'

/**
 * The etcd release whose behaviour this server has. The API server parses it as a semantic version to decide on
 * progress requests; 3.7 would promise RangeStream.
 */
export const EMULATED_VERSION = '3.6.8'
/** AlarmRequest.AlarmAction. */
const ACTIVATE = 1
const DEACTIVATE = 2
/** DowngradeRequest.DowngradeAction. */
const CANCEL = 2
const VERSION_FORMAT = /^v?\d+\.\d+(\.\d+)?(-[\w.]+)?$/
const ALARM_NAMES: Readonly<Record<AlarmType, string>> = { 0: 'NONE', 1: 'NOSPACE', 2: 'CORRUPT' }

/** Maintenance.Status; `quotaBytes` is the size from which on `no space` is raised, 0 for none. */
export async function status(store: Backend, quotaBytes: number): Promise<Buffer> {
  const { memberId, revision, sizeBytes, sizeInUseBytes } = await store.status()
  const writer = new WireWriter(128)
    .message(1, encodeHeader(store, revision))
    .string(2, EMULATED_VERSION)
    .int(3, sizeBytes)
    .int(4, memberId)
    .int(5, revision)
    .int(6, 1)
    .int(7, revision)
  for (const alarm of store.alarms.list()) writer.string(8, describe(alarm))
  return writer.int(9, sizeInUseBytes).int(12, quotaBytes).finish()
}

/** Maintenance.Alarm: lists, raises and disarms. */
export async function alarm(store: Backend, request: Buffer): Promise<Buffer> {
  const reader = new WireReader(request)
  let action = 0
  let memberId: LeaseId = 0
  let type: AlarmType = AlarmType.none
  while (reader.next()) {
    if (reader.field === 1) action = reader.int()
    else if (reader.field === 2) memberId = reader.int64()
    else if (reader.field === 3) type = alarmType(reader.int())
    else reader.skip()
  }
  const member = { memberId, alarm: type }
  const members = await (action === ACTIVATE
    ? store.alarmActivate(member)
    : action === DEACTIVATE
      ? store.alarmDeactivate(member)
      : store.alarmList(type))
  const writer = headed(store)
  for (const each of members) {
    writer.message(2, new WireWriter(16).int(1, each.memberId).int(2, each.alarm).finish())
  }
  return writer.finish()
}

/** Maintenance.Defragment */
export async function defragment(store: Backend): Promise<Buffer> {
  await store.defragment()
  return headed(store).finish()
}

/** Maintenance.Hash: of everything up to now. */
export async function hash(store: Backend): Promise<Buffer> {
  const { revision, hash: value } = await store.hashKv(0)
  return headed(store, revision).int(2, value).finish()
}

/** Maintenance.HashKV: of everything up to a revision; equal on all instances that share a database. */
export async function hashKv(store: Backend, request: Buffer): Promise<Buffer> {
  const reader = new WireReader(request)
  let asked = 0
  while (reader.next()) {
    if (reader.field === 1) asked = reader.int()
    else reader.skip()
  }
  const { revision, hash: value, compactRevision, hashRevision } = await store.hashKv(asked)
  return headed(store, revision).int(2, value).int(3, compactRevision).int(4, hashRevision).finish()
}

/** Maintenance.Snapshot would be a bbolt file, which this store does not have. */
export function snapshot(): Promise<Buffer> {
  return Promise.reject(
    new GrpcError(GrpcCode.unimplemented, 'etcdserver: snapshot is not supported by kine; use `k0s backup`'),
  )
}

/** Maintenance.MoveLeader: this one member leads, and nobody else can. */
export function moveLeader(store: Backend, request: Buffer): Promise<Buffer> {
  const reader = new WireReader(request)
  let target: LeaseId = 0
  while (reader.next()) {
    if (reader.field === 1) target = reader.int64()
    else reader.skip()
  }
  if (target === store.memberId) return Promise.resolve(headed(store).finish())
  return Promise.reject(new GrpcError(GrpcCode.failedPrecondition, 'etcdserver: bad leader transferee'))
}

/** Maintenance.Downgrade: there is no version to go back to. */
export function downgrade(request: Buffer): Promise<Buffer> {
  const reader = new WireReader(request)
  let action = 0
  let version = ''
  while (reader.next()) {
    if (reader.field === 1) action = reader.int()
    else if (reader.field === 2) version = reader.bytes().toString()
    else reader.skip()
  }
  if (!VERSION_FORMAT.test(version)) return refuse('etcdserver: wrong downgrade target version format')
  if (action !== CANCEL) return refuse('etcdserver: invalid downgrade target version')
  return Promise.reject(new GrpcError(GrpcCode.failedPrecondition, 'etcdserver: no inflight downgrade job'))
}

function refuse(text: string): Promise<never> {
  return Promise.reject(new GrpcError(GrpcCode.invalidArgument, text))
}

/** A response that begins with the header. */
function headed(store: Backend, revision: Revision = store.revision): WireWriter {
  return new WireWriter().message(1, encodeHeader(store, revision))
}

/** As etcd prints a protobuf message: fields that are zero are left out. */
function describe({ memberId, alarm: type }: AlarmMember): string {
  return `${memberId === 0 ? '' : `memberID:${memberId} `}alarm:${ALARM_NAMES[type]}`
}

function alarmType(value: number): AlarmType {
  const known = toAlarmType(value)
  if (known === undefined) throw new GrpcError(GrpcCode.invalidArgument, `etcdserver: unknown alarm ${value}`)
  return known
}
