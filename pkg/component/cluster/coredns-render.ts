import { clusterRole, clusterRoleBinding } from '#pkg/component/cluster/objects.ts'
import { addonDeployment } from '#pkg/component/cluster/addon-pod.ts'
import type { KubeObject } from '#pkg/kubernetes/types.ts'

/** What the DNS of a cluster depends on. */
export interface CoreDnsOptions {
  /** Image reference. */
  readonly image: string
  readonly imagePullPolicy: 'Always' | 'IfNotPresent' | 'Never'
  /** Address of the DNS Service, which kubelets write into resolv.conf of pods. */
  readonly clusterDNS: string
  readonly clusterDomain: string
  readonly dualStackEnabled: boolean
}

const namespace = 'kube-system'
const name = 'coredns'
/** The label by which users and tools find cluster DNS since kube-dns. */
const labels = { 'k8s-app': 'kube-dns' }

/** Objects of stack `coredns`. Pure. */
export function coreDnsObjects(options: CoreDnsOptions): readonly KubeObject[] {
  const account = { kind: 'ServiceAccount', name, namespace } as const
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace, labels } },
    clusterRole('system:coredns', [
      { apiGroups: [''], resources: ['services', 'pods', 'namespaces'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ]),
    clusterRoleBinding('system:coredns', 'system:coredns', [account]),
    configMap(options),
    service(options),
    deployment(options),
  ]
}

/** The server's configuration; reloaded by CoreDNS itself when the ConfigMap changes. */
export function corefile(clusterDomain: string): string {
  return `.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes ${clusterDomain} in-addr.arpa ip6.arpa {
        pods insecure
        ttl 30
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
`
}

function configMap({ clusterDomain }: CoreDnsOptions): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace, labels },
    data: { Corefile: corefile(clusterDomain) },
  }
}

function service({ clusterDNS, dualStackEnabled }: CoreDnsOptions): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kube-dns',
      namespace,
      labels: { ...labels, 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
      annotations: { 'prometheus.io/port': '9153', 'prometheus.io/scrape': 'true' },
    },
    spec: {
      selector: labels,
      clusterIP: clusterDNS,
      ...(dualStackEnabled ? { ipFamilyPolicy: 'PreferDualStack' } : {}),
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
        { name: 'metrics', port: 9153, protocol: 'TCP', targetPort: 9153 },
      ],
    },
  }
}

/** Without `replicas`: the component scales it with the number of nodes. */
function deployment({ image, imagePullPolicy }: CoreDnsOptions): KubeObject {
  return addonDeployment({
    name,
    labels,
    ownLabels: { 'kubernetes.io/name': 'CoreDNS' },
    rollout: { maxUnavailable: 1, maxSurge: 1 },
    pod: {
      affinity: spreadOverHosts,
      dnsPolicy: 'Default', // the node's own resolvers: DNS cannot ask itself
      // Port 53 for a user that is not root, whatever the runtime's default is; one of the safe sysctls.
      sysctls: [{ name: 'net.ipv4.ip_unprivileged_port_start', value: '53' }],
      volumes: [{ name: 'config', configMap: { name, items: [{ key: 'Corefile', path: 'Corefile' }] } }],
    },
    container: {
      image,
      imagePullPolicy,
      args: ['-conf', '/etc/coredns/Corefile'],
      ports: [
        { name: 'dns', containerPort: 53, protocol: 'UDP' },
        { name: 'dns-tcp', containerPort: 53, protocol: 'TCP' },
        { name: 'metrics', containerPort: 9153, protocol: 'TCP' },
      ],
      resources: { requests: { cpu: '50m', memory: '40Mi' }, limits: { memory: '170Mi' } },
      // A cluster is of no use before its DNS: ready is asked for often, alive is not.
      readinessProbe: { httpGet: { path: '/ready', port: 8181 }, periodSeconds: 2, failureThreshold: 3 },
      livenessProbe: {
        httpGet: { path: '/health', port: 8080 },
        initialDelaySeconds: 30,
        failureThreshold: 5,
        timeoutSeconds: 5,
      },
      volumeMounts: [{ name: 'config', mountPath: '/etc/coredns', readOnly: true }],
    },
  })
}

const spreadOverHosts = {
  podAntiAffinity: {
    preferredDuringSchedulingIgnoredDuringExecution: [
      {
        weight: 100,
        podAffinityTerm: { topologyKey: 'kubernetes.io/hostname', labelSelector: { matchLabels: labels } },
      },
    ],
  },
}
