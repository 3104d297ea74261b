import type { KubeObject } from '#pkg/kubernetes/types.ts'

type Fields = Readonly<Record<string, unknown>>

/** What one add-on's Deployment has of its own. */
export interface AddonDeployment {
  /** Of the Deployment, its one container and its ServiceAccount. */
  readonly name: string
  /** Of the pods, by which they are selected. */
  readonly labels: Readonly<Record<string, string>>
  /** Further labels of the Deployment itself. */
  readonly ownLabels?: Readonly<Record<string, string>>
  /** Left out: something else scales it. */
  readonly replicas?: number
  readonly rollout: { readonly maxUnavailable: number; readonly maxSurge: number }
  /** Of the pod's spec; `sysctls` belong into its security context. */
  readonly pod: Fields & { readonly volumes: readonly unknown[]; readonly sysctls?: readonly unknown[] }
  readonly container: Fields
}

/** A Deployment in kube-system of one container that has no more rights than it needs. Pure. */
export function addonDeployment(addon: AddonDeployment): KubeObject {
  const { name, labels, ownLabels, replicas, rollout } = addon
  const { sysctls, volumes, ...pod } = addon.pod
  const podTemplate = {
    metadata: { labels },
    spec: {
      serviceAccountName: name,
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations,
      ...pod,
      securityContext: { ...podSecurity, ...(sysctls === undefined ? {} : { sysctls }) },
      containers: [{ name, ...addon.container, securityContext: restrictedContainer }],
      volumes,
    },
  }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'kube-system', labels: { ...labels, ...ownLabels } },
    spec: {
      ...(replicas === undefined ? {} : { replicas }),
      strategy: { type: 'RollingUpdate', rollingUpdate: rollout },
      revisionHistoryLimit: 3,
      selector: { matchLabels: labels },
      template: podTemplate,
    },
  }
}

/** Add-ons run where nothing else may: on tainted control-plane nodes, and before others when a node is full. */
const tolerations = [
  { key: 'CriticalAddonsOnly', operator: 'Exists' },
  { key: 'node-role.kubernetes.io/control-plane', operator: 'Exists', effect: 'NoSchedule' },
]

/** The user of the shipped images, and no other. */
const podSecurity = {
  runAsNonRoot: true,
  runAsUser: 65532,
  runAsGroup: 65532,
  seccompProfile: { type: 'RuntimeDefault' },
}

/** Nothing that a static binary does not need. */
const restrictedContainer = {
  allowPrivilegeEscalation: false,
  readOnlyRootFilesystem: true,
  capabilities: { drop: ['ALL'] },
}
