/**
 * How a strategic merge patch treats a field: what Kubernetes' types declare as patchStrategy and patchMergeKey. A list
 * without either is replaced whole.
 */
export interface MergeRule {
  /** Items of the list are merged with those that have the same value of this field. */
  readonly mergeKey?: string
  /** The list is a set of scalars: the patch's are added. */
  readonly set?: boolean
  /** Of the object, or of each item of the list. */
  readonly fields?: Readonly<Record<string, MergeRule>>
}

const keyed = (mergeKey: string, fields?: MergeRule['fields']): MergeRule => ({
  mergeKey,
  ...(fields === undefined ? {} : { fields }),
})

const metadata: MergeRule = { fields: { finalizers: { set: true }, ownerReferences: keyed('uid') } }

const containers = keyed('name', {
  env: keyed('name'),
  ports: keyed('containerPort'),
  volumeDevices: keyed('devicePath'),
  volumeMounts: keyed('mountPath'),
})

const podSpec: MergeRule = {
  fields: {
    containers,
    ephemeralContainers: containers,
    hostAliases: keyed('ip'),
    imagePullSecrets: keyed('name'),
    initContainers: containers,
    resourceClaims: keyed('name'),
    schedulingGates: keyed('name'),
    topologySpreadConstraints: keyed('topologyKey'),
    volumes: keyed('name'),
  },
}

/** Rules of the kinds that are rendered here (k8s.io/api), by `apiVersion kind`. Other kinds have none. */
export const mergeRules: Readonly<Record<string, MergeRule>> = {
  'apps/v1 Deployment': {
    fields: { metadata, spec: { fields: { template: { fields: { metadata, spec: podSpec } } } } },
  },
  'v1 ConfigMap': { fields: { metadata } },
  'v1 Service': { fields: { metadata, spec: { fields: { ports: keyed('port') } } } },
  'v1 ServiceAccount': { fields: { metadata, secrets: keyed('name') } },
  'rbac.authorization.k8s.io/v1 ClusterRole': { fields: { metadata } },
  'rbac.authorization.k8s.io/v1 ClusterRoleBinding': { fields: { metadata } },
  'rbac.authorization.k8s.io/v1 Role': { fields: { metadata } },
  'rbac.authorization.k8s.io/v1 RoleBinding': { fields: { metadata } },
}
