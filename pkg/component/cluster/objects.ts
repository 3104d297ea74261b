import { stringify } from 'yaml'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** Objects as one YAML stream. */
export function renderYaml(objects: readonly KubeObject[]): string {
  // Equal sub-objects are written out: kubectl users read these files, and anchors are for no one.
  return objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')
}

/** Who a role is bound to. */
export interface Subject {
  readonly kind: 'User' | 'Group' | 'ServiceAccount'
  readonly name: string
  readonly namespace?: string
}

/** rbac.authorization.k8s.io/v1 PolicyRule. */
export interface PolicyRule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}

const apiVersion = 'rbac.authorization.k8s.io/v1'
const RBAC_GROUP = 'rbac.authorization.k8s.io'

/** A ClusterRole. */
export function clusterRole(name: string, rules: readonly PolicyRule[]): KubeObject {
  return { apiVersion, kind: 'ClusterRole', metadata: { name }, rules }
}

/** A Role. */
export function role(namespace: string, name: string, rules: readonly PolicyRule[]): KubeObject {
  return { apiVersion, kind: 'Role', metadata: { name, namespace }, rules }
}

/** Binds ClusterRole `roleName` everywhere. */
export function clusterRoleBinding(name: string, roleName: string, subjects: readonly Subject[]): KubeObject {
  const roleRef = { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: roleName }
  return { apiVersion, kind: 'ClusterRoleBinding', metadata: { name }, roleRef, subjects: subjects.map(withGroup) }
}

/** Binds a Role (or with `kind` a ClusterRole) within one namespace. */
export function roleBinding(
  namespace: string,
  name: string,
  roleRef: { readonly kind?: 'Role' | 'ClusterRole'; readonly name: string },
  subjects: readonly Subject[],
): KubeObject {
  return {
    apiVersion,
    kind: 'RoleBinding',
    metadata: { name, namespace },
    roleRef: { apiGroup: RBAC_GROUP, kind: roleRef.kind ?? 'Role', name: roleRef.name },
    subjects: subjects.map(withGroup),
  }
}

/** A group of users, as in the organisation of client certificates. */
export const group = (name: string): Subject => ({ kind: 'Group', name })

function withGroup(subject: Subject): unknown {
  return subject.kind === 'ServiceAccount' ? subject : { apiGroup: RBAC_GROUP, ...subject }
}
