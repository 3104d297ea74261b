import { workerIdentities } from '#pkg/constant/identity.ts'
import {
  clusterRole,
  clusterRoleBinding,
  group,
  role,
  roleBinding,
  type PolicyRule,
} from '#pkg/component/cluster/objects.ts'
import { workerConfigName } from '#pkg/component/worker/worker-config.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the bootstrap RBAC depends on. */
export interface RbacOptions {
  /** Names of the worker profiles, `default` included. */
  readonly profiles: readonly string[]
  /** Common name of the client certificate with which kube-apiserver calls kubelets. */
  readonly kubeletClientUser: string
  /** User name with which the join API reads tokens. */
  readonly controlApiUser: string
}

const read = ['get', 'list', 'watch']

/** The rights of joining workers, of each part of a worker and of kube-apiserver on kubelets. Pure. */
export function rbacObjects(options: RbacOptions): readonly KubeObject[] {
  return [
    ...bootstrapObjects(),
    ...workerObjects(options.profiles),
    ...networkObjects(),
    // Names of tokens are drawn, hence no resourceNames; it cannot list.
    role('kube-system', 'k0s:api', [{ apiGroups: [''], resources: ['secrets'], verbs: ['get'] }]),
    roleBinding('kube-system', 'k0s:api', { name: 'k0s:api' }, [{ kind: 'User', name: options.controlApiUser }]),
    clusterRoleBinding('k0s:kube-apiserver-kubelet', 'system:kubelet-api-admin', [
      { kind: 'User', name: options.kubeletClientUser },
    ]),
  ]
}

/** A join token may ask for a kubelet's certificate; the node that results may renew it (Node authorizer). */
function bootstrapObjects(): readonly KubeObject[] {
  return [clusterRoleBinding('kubelet-bootstrap', 'system:node-bootstrapper', [group('system:bootstrappers')])]
}

/** Join tokens and worker processes read the worker configuration and learn where the controllers are. */
function workerObjects(profiles: readonly string[]): readonly KubeObject[] {
  const readers = [group('system:bootstrappers'), group(workerIdentities.worker.group)]
  const configName = workerConfigName('').replace('--', '-')
  const configs = `system:bootstrappers:${configName}`
  const controllers = 'k0s:workers:controllers'
  const resourceNames = profiles.map(workerConfigName)
  return [
    role('kube-system', configs, [{ apiGroups: [''], resources: ['configmaps'], resourceNames, verbs: read }]),
    roleBinding('kube-system', configs, { name: configs }, readers),
    role('default', controllers, [
      { apiGroups: [''], resources: ['endpoints'], resourceNames: ['kubernetes'], verbs: read },
      // Names of slices are chosen by their controller, hence no resourceNames; this namespace has no other secrets.
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
    ]),
    roleBinding('default', controllers, { name: controllers }, [group(workerIdentities.worker.group)]),
  ]
}

/** What the network programs of a worker need, and no more; the sources are their own manifests. */
function networkObjects(): readonly KubeObject[] {
  const { kubeProxy, flannel, felix, calicoCni } = workerIdentities
  const own = (name: string, rules: readonly PolicyRule[], subject: string): readonly KubeObject[] => [
    clusterRole(name, rules),
    clusterRoleBinding(name, name, [group(subject)]),
  ]
  return [
    clusterRoleBinding('k0s:kube-proxy', 'system:node-proxier', [group(kubeProxy.group)]),
    ...own('k0s:flannel', flannelRules, flannel.group),
    ...own('k0s:felix', felixRules, felix.group),
    ...own('k0s:calico-cni', calicoCniRules, calicoCni.group),
  ]
}

const flannelRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes'], verbs: read },
  // Its annotations on the node carry the address and MAC that other workers route to.
  { apiGroups: [''], resources: ['nodes/status'], verbs: ['patch'] },
]

const felixRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['nodes', 'pods', 'namespaces', 'serviceaccounts', 'services'], verbs: read },
  { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: read },
  { apiGroups: ['networking.k8s.io'], resources: ['networkpolicies'], verbs: read },
  {
    apiGroups: ['policy.networking.k8s.io'],
    resources: ['adminnetworkpolicies', 'baselineadminnetworkpolicies'],
    verbs: read,
  },
  { apiGroups: ['crd.projectcalico.org'], resources: ['*'], verbs: read },
]

const calicoCniRules: readonly PolicyRule[] = [
  { apiGroups: [''], resources: ['pods', 'nodes', 'namespaces', 'serviceaccounts'], verbs: ['get'] },
  // The plugin notes the addresses of a pod in its annotations, where Felix reads them before the kubelet reports.
  { apiGroups: [''], resources: ['pods/status'], verbs: ['patch'] },
  { apiGroups: ['crd.projectcalico.org'], resources: ['clusterinformations', 'ippools'], verbs: ['get', 'list'] },
]
