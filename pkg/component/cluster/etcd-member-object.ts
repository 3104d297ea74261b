import { peerAddressOf } from '#pkg/etcd/addresses.ts'
import { memberIdHex, type EtcdMember } from '#pkg/etcd/member.ts'
import type { KubeObject, ResourceRef } from '#pkg/kubernetes/types.ts'

/** A member of etcd as an object of the cluster; group, kind and fields are k0s's. */
export interface EtcdMemberObject extends KubeObject {
  readonly spec?: {
    /** Asks for the removal of this member. */
    readonly leave?: boolean
  }
  readonly status?: EtcdMemberStatus
}

/** Its state, written by the leader. */
export interface EtcdMemberStatus {
  readonly peerAddress?: string
  /** Hexadecimal, as etcd's tools print it. */
  readonly memberID?: string
  /** `Success` or `Failed` of the removal that was asked for. */
  readonly reconcileStatus?: string
  /** Why it failed. */
  readonly message?: string
  readonly conditions?: readonly MemberCondition[]
}

/** `Joined`, k0s's: it votes. `Answering`, ours: it answers the controller that leads, as one without power does not. */
interface MemberCondition {
  readonly type: 'Joined' | 'Answering'
  readonly status: 'True' | 'False'
  readonly lastTransitionTime: string
  readonly message?: string
}

const apiVersion = 'etcd.k0sproject.io/v1beta1'

/** Where the objects are. */
export const etcdMembersRef: ResourceRef = { group: 'etcd.k0sproject.io', version: 'v1beta1', resource: 'etcdmembers' }

/** The kind, for `kubectl get etcdmembers`. Pure. */
export function etcdMemberDefinition(): KubeObject {
  const text = { type: 'string' }
  const column = (name: string, jsonPath: string): object => ({ name, jsonPath, type: 'string' })
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'etcdmembers.etcd.k0sproject.io' },
    spec: {
      group: 'etcd.k0sproject.io',
      scope: 'Cluster',
      names: { kind: 'EtcdMember', listKind: 'EtcdMemberList', plural: 'etcdmembers', singular: 'etcdmember' },
      versions: [
        {
          name: 'v1beta1',
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: [
            column('Peer Address', '.status.peerAddress'),
            column('Member ID', '.status.memberID'),
            column('Joined', '.status.conditions[?(@.type=="Joined")].status'),
            column('Answering', '.status.conditions[?(@.type=="Answering")].status'),
            column('Reconcile Status', '.status.reconcileStatus'),
          ],
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  properties: {
                    leave: { type: 'boolean', default: false, description: 'Asks for the removal of this member.' },
                  },
                },
                status: {
                  type: 'object',
                  properties: {
                    peerAddress: text,
                    memberID: text,
                    reconcileStatus: text,
                    message: text,
                    conditions: {
                      type: 'array',
                      'x-kubernetes-list-type': 'map',
                      'x-kubernetes-list-map-keys': ['type'],
                      items: {
                        type: 'object',
                        required: ['type', 'status'],
                        properties: {
                          type: text,
                          status: text,
                          message: text,
                          lastTransitionTime: { type: 'string', format: 'date-time' },
                        },
                      },
                    },
                  },
                },
              },
            },
          },
        },
      ],
    },
  }
}

/** What is to be done to make objects and members agree. */
export type EtcdMemberStep =
  | { readonly action: 'create'; readonly object: EtcdMemberObject; readonly status: EtcdMemberStatus }
  /** `leave: false` takes back the wish of a member that was removed and has joined anew. */
  | { readonly action: 'update'; readonly name: string; readonly status: EtcdMemberStatus; readonly leave?: false }
  | { readonly action: 'remove-member'; readonly name: string; readonly peerUrl: string }
  | { readonly action: 'delete'; readonly name: string }

/** A member of etcd as the leader sees it. */
export interface SeenMember extends EtcdMember {
  readonly answers: boolean
}

/** Compares the objects with the members that etcd has. Pure. */
export function etcdMemberSteps(
  members: readonly SeenMember[],
  objects: readonly EtcdMemberObject[],
  now: Date,
): readonly EtcdMemberStep[] {
  const named = members.filter(({ name }) => name !== '')
  const present = named.flatMap((member) => {
    const object = objects.find(({ metadata }) => metadata.name === member.name)
    return stepsOf(member, object, now)
  })
  const gone = objects.filter(({ metadata }) => !named.some(({ name }) => name === metadata.name))
  return [...present, ...gone.flatMap((object) => stepsOfGone(object, now))]
}

function stepsOf(member: SeenMember, object: EtcdMemberObject | undefined, now: Date): readonly EtcdMemberStep[] {
  const { name, peerUrls } = member
  const wanted = statusOf(member, object?.status, now)
  if (object === undefined) {
    const created = { apiVersion, kind: 'EtcdMember', metadata: { name }, spec: { leave: false } }
    return [{ action: 'create', object: created, status: wanted }]
  }
  const isSame = object.status?.memberID === wanted.memberID
  const asks = object.spec?.leave === true
  if (asks && isSame) return [{ action: 'remove-member', name, peerUrl: peerUrls[0] ?? '' }]
  if (asks && object.status?.memberID !== undefined) return [{ action: 'update', name, status: wanted, leave: false }]
  return isEqual(object.status, wanted) ? [] : [{ action: 'update', name, status: wanted }]
}

/** One that was asked to leave stays to be looked at, the others go. */
function stepsOfGone(object: EtcdMemberObject, now: Date): readonly EtcdMemberStep[] {
  const { name } = object.metadata
  if (object.spec?.leave !== true) return [{ action: 'delete', name }]
  const conditions = [condition('Joined', 'the member has left', object.status, now)]
  const status: EtcdMemberStatus = { ...object.status, reconcileStatus: 'Success', message: '', conditions }
  return isEqual(object.status, status) ? [] : [{ action: 'update', name, status }]
}

function statusOf(
  { id, peerUrls: [url = ''], isLearner, answers }: SeenMember,
  before: EtcdMemberStatus | undefined,
  now: Date,
): EtcdMemberStatus {
  const memberID = memberIdHex(id)
  const sameMember = before?.memberID === memberID ? before : undefined
  return {
    ...sameMember,
    peerAddress: peerAddressOf(url),
    memberID,
    conditions: [
      condition('Joined', isLearner ? 'it catches up' : '', before, now),
      condition('Answering', answers ? '' : 'it does not answer at its peer port', before, now),
    ],
  }
}

/** True where there is nothing to say against it. */
function condition(
  type: MemberCondition['type'],
  message: string,
  before: EtcdMemberStatus | undefined,
  now: Date,
): MemberCondition {
  const status = message === '' ? 'True' : 'False'
  const old = before?.conditions?.find((each) => each.type === type)
  const since = old?.status === status ? old.lastTransitionTime : now.toISOString().replace(/\.\d+Z$/, 'Z')
  return { type, status, lastTransitionTime: since, message }
}

function isEqual(a: EtcdMemberStatus | undefined, b: EtcdMemberStatus): boolean {
  const text = (status: EtcdMemberStatus | undefined): string =>
    JSON.stringify([
      status?.peerAddress ?? '',
      status?.memberID ?? '',
      status?.reconcileStatus ?? '',
      status?.message ?? '',
      (status?.conditions ?? []).map(({ type, status: value, message = '' }) => [type, value, message]),
    ])
  return text(a) === text(b)
}
