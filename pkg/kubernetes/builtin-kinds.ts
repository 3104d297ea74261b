import type { ApiResource } from '#pkg/kubernetes/types.ts'

/**
 * Kinds that every API server of this version serves, as far as manifests commonly hold them: known without asking, so
 * that what a cluster is given first does not wait for discovery. Verbs are left out; who needs them asks.
 */
export const builtinKinds: readonly ApiResource[] = [
  ...kinds('', 'v1', {
    ConfigMap: 'configmaps',
    PersistentVolumeClaim: 'persistentvolumeclaims',
    Pod: 'pods',
    Secret: 'secrets',
    Service: 'services',
    ServiceAccount: 'serviceaccounts',
  }),
  ...kinds('', 'v1', { Namespace: 'namespaces', PersistentVolume: 'persistentvolumes' }, { namespaced: false }),
  ...kinds('apps', 'v1', { DaemonSet: 'daemonsets', Deployment: 'deployments', StatefulSet: 'statefulsets' }),
  ...kinds('batch', 'v1', { CronJob: 'cronjobs', Job: 'jobs' }),
  ...kinds('networking.k8s.io', 'v1', { Ingress: 'ingresses', NetworkPolicy: 'networkpolicies' }),
  ...kinds('policy', 'v1', { PodDisruptionBudget: 'poddisruptionbudgets' }),
  ...kinds('rbac.authorization.k8s.io', 'v1', { Role: 'roles', RoleBinding: 'rolebindings' }),
  ...kinds(
    'rbac.authorization.k8s.io',
    'v1',
    { ClusterRole: 'clusterroles', ClusterRoleBinding: 'clusterrolebindings' },
    { namespaced: false },
  ),
  ...kinds(
    'apiextensions.k8s.io',
    'v1',
    { CustomResourceDefinition: 'customresourcedefinitions' },
    { namespaced: false },
  ),
  ...kinds('apiregistration.k8s.io', 'v1', { APIService: 'apiservices' }, { namespaced: false }),
  ...kinds(
    'admissionregistration.k8s.io',
    'v1',
    {
      ValidatingAdmissionPolicy: 'validatingadmissionpolicies',
      ValidatingAdmissionPolicyBinding: 'validatingadmissionpolicybindings',
    },
    { namespaced: false },
  ),
  ...kinds('scheduling.k8s.io', 'v1', { PriorityClass: 'priorityclasses' }, { namespaced: false }),
  ...kinds('storage.k8s.io', 'v1', { StorageClass: 'storageclasses' }, { namespaced: false }),
]

function kinds(
  group: string,
  version: string,
  names: Readonly<Record<string, string>>,
  { namespaced }: { readonly namespaced: boolean } = { namespaced: true },
): readonly ApiResource[] {
  return Object.entries(names).map(([kind, resource]) => ({ group, version, kind, resource, namespaced, verbs: [] }))
}
