import { addonDeployment } from '#pkg/component/cluster/addon-pod.ts'
import { clusterRole, clusterRoleBinding, roleBinding } from '#pkg/component/cluster/objects.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What metrics-server depends on. */
export interface MetricsServerOptions {
  /** Image reference. */
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  /** The authority that signed its serving certificate, PEM. */
  readonly caPem: string
}

const namespace = 'kube-system'
const name = 'metrics-server'
const labels = { 'k8s-app': 'metrics-server' }

/** Secret with the serving certificate; made by the component, not part of the manifest. */
export const metricsServerTlsSecret = { namespace, name: 'metrics-server-tls' } as const
/** What kube-apiserver expects in the serving certificate. */
export const metricsServerDnsNames = [`${name}.${namespace}.svc`, `${name}.${namespace}`]

/** Objects of stack `metricserver`. Pure. */
export function metricsServerObjects(options: MetricsServerOptions): readonly KubeObject[] {
  const account = { kind: 'ServiceAccount', name, namespace } as const
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels } },
    clusterRole('system:metrics-server', [
      { apiGroups: [''], resources: ['nodes/metrics'], verbs: ['get'] },
      { apiGroups: [''], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
    ]),
    clusterRoleBinding('system:metrics-server', 'system:metrics-server', [account]),
    aggregatedReader(),
    clusterRoleBinding('metrics-server:system:auth-delegator', 'system:auth-delegator', [account]),
    roleBinding(namespace, 'metrics-server-auth-reader', { name: 'extension-apiserver-authentication-reader' }, [
      account,
    ]),
    service(),
    deployment(options),
    apiService(options),
  ]
}

/** Lets whoever may view a namespace see its figures too. */
function aggregatedReader(): KubeObject {
  const role = clusterRole('system:aggregated-metrics-reader', [
    { apiGroups: ['metrics.k8s.io'], resources: ['pods', 'nodes'], verbs: ['get', 'list', 'watch'] },
  ])
  const aggregation = {
    'rbac.authorization.k8s.io/aggregate-to-admin': 'true',
    'rbac.authorization.k8s.io/aggregate-to-edit': 'true',
    'rbac.authorization.k8s.io/aggregate-to-view': 'true',
  }
  return { ...role, metadata: { ...role.metadata, labels: { ...labels, ...aggregation } } }
}

function service(): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels },
    spec: { selector: labels, ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: 'https' }] },
  }
}

function deployment({ image, imagePullPolicy }: MetricsServerOptions): KubeObject {
  return addonDeployment({
    name,
    labels,
    replicas: 1,
    rollout: { maxUnavailable: 0, maxSurge: 1 },
    pod: { volumes: [{ name: 'tls', secret: { secretName: metricsServerTlsSecret.name } }] },
    container: {
      image,
      imagePullPolicy,
      args,
      // It allocates in bursts, a scrape every 15 s, and keeps little: collecting sooner costs no noticeable CPU.
      env: [{ name: 'GOGC', value: '40' }],
      ports: [{ name: 'https', containerPort: 10250, protocol: 'TCP' }],
      resources: { requests: { cpu: '50m', memory: '40Mi' } },
      readinessProbe: {
        httpGet: { path: '/readyz', port: 'https', scheme: 'HTTPS' },
        periodSeconds: 1,
        failureThreshold: 3,
      },
      livenessProbe: { httpGet: { path: '/livez', port: 'https', scheme: 'HTTPS' }, initialDelaySeconds: 30 },
      volumeMounts: [{ name: 'tls', mountPath: '/etc/metrics-server', readOnly: true }],
    },
  })
}

const args = [
  '--secure-port=10250',
  '--tls-cert-file=/etc/metrics-server/tls.crt',
  '--tls-private-key-file=/etc/metrics-server/tls.key',
  // Serving certificates of kubelets are signed by the cluster's authority, which every service account carries.
  '--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
  '--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname',
  '--kubelet-use-node-status-port',
  // The shortest that it allows; it serves after two scrapes.
  '--metric-resolution=10s',
  '--kubelet-request-timeout=5s', // has to be shorter than the resolution
]

function apiService({ caPem }: MetricsServerOptions): KubeObject {
  return {
    apiVersion: 'apiregistration.k8s.io/v1',
    kind: 'APIService',
    metadata: { name: 'v1beta1.metrics.k8s.io', labels },
    spec: {
      group: 'metrics.k8s.io',
      version: 'v1beta1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      service: { name, namespace, port: 443 },
      caBundle: Buffer.from(caPem).toString('base64'),
    },
  }
}
