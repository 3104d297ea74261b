import { Document, isMap, isScalar, type YAMLMap } from 'yaml'
import { defaultClusterSpec } from '#pkg/apis/defaults.ts'
import { asJsonSchema, type JsonSchema } from '#pkg/apis/json-schema.ts'
import { clusterConfigSchema } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'

/** Reference of an image, as in spec.images. */
export interface ImageReference {
  readonly image: string
  readonly version: string
}

/** What `config create` prints besides the defaults. */
export interface CreateOptions {
  /** Address of this host; left out when it has none. */
  readonly address?: string | undefined
  /** `--include-images`: by key of spec.images. */
  readonly images?: Readonly<Record<string, ImageReference>> | undefined
}

/** Keys that change nothing, or nothing yet: showing them would promise something. */
const hidden = [
  'extensions',
  'telemetry',
  'metricsServer',
  'network.calico',
  'network.kuberouter',
  'network.coreDNS',
  'network.controlPlaneLoadBalancing',
  'network.kubeProxy.ipvs',
  'network.kubeProxy.patches',
  'network.nodeLocalLoadBalancing.enabled',
  'network.nodeLocalLoadBalancing.type',
  'network.nodeLocalLoadBalancing.traefik',
  'network.nodeLocalLoadBalancing.envoyProxy.konnectivityServerBindPort',
  'storage.kine',
]

/** The default configuration as commented YAML; it passes `config validate` without a warning. Pure. */
export function renderDefaultConfig({ address, images }: CreateOptions = {}): string {
  const defaults = defaultClusterSpec()
  const spec = {
    ...defaults,
    api: { ...(address === undefined ? {} : { address }), ...defaults.api },
    storage: { type: 'etcd', ...defaults.storage },
    images: { ...defaults.images, ...images },
  }
  const config = { apiVersion: 'k0s.k0sproject.io/v1beta1', kind: 'ClusterConfig', metadata: { name: 'k0s' }, spec }
  const document = new Document(config, { aliasDuplicateObjects: false })
  for (const path of hidden) document.deleteIn(['spec', ...path.split('.')])
  if (isMap(document.contents)) annotate(document.contents, asJsonSchema(clusterConfigSchema), 0)
  return document.toString({ lineWidth: 0 })
}

/** Puts each key's description behind short values and above sections. */
function annotate(map: YAMLMap, schema: JsonSchema, depth: number): void {
  for (const pair of map.items) {
    const key = isScalar(pair.key) ? String(pair.key.value) : ''
    const property = schema.properties?.[key]
    if (property === undefined) continue
    const { value } = pair
    if (isMap(value) && value.items.length > 0) {
      if (depth > 0 && isScalar(pair.key) && property.description !== undefined) {
        pair.key.commentBefore = ` ${property.description}`
      }
      annotate(value, property, depth + 1)
    } else if (isScalar(value) && depth > 1 && property.description !== undefined) {
      value.comment = ` ${property.description}`
    }
  }
}
