import type { ResourceRef } from '#pkg/kubernetes/types.ts'

/** The built-in resources that the product itself reads and writes. */
export const resources = {
  nodes: { group: '', version: 'v1', resource: 'nodes' },
  namespaces: { group: '', version: 'v1', resource: 'namespaces' },
  pods: { group: '', version: 'v1', resource: 'pods' },
  configMaps: { group: '', version: 'v1', resource: 'configmaps' },
  secrets: { group: '', version: 'v1', resource: 'secrets' },
  services: { group: '', version: 'v1', resource: 'services' },
  endpointSlices: { group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' },
  events: { group: '', version: 'v1', resource: 'events' },
  leases: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases' },
  deployments: { group: 'apps', version: 'v1', resource: 'deployments' },
  certificateSigningRequests: { group: 'certificates.k8s.io', version: 'v1', resource: 'certificatesigningrequests' },
  apiServices: { group: 'apiregistration.k8s.io', version: 'v1', resource: 'apiservices' },
} as const satisfies Readonly<Record<string, ResourceRef>>

/** The same resource within a namespace. */
export function inNamespace(ref: ResourceRef, namespace: string): ResourceRef {
  return { ...ref, namespace }
}
