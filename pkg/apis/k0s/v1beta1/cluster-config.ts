import * as Type from 'typebox'
import { apiSchema, programSchema } from '#pkg/apis/k0s/v1beta1/api.ts'
import { extensionsSchema, featureGatesSchema, workerProfilesSchema } from '#pkg/apis/k0s/v1beta1/extensions.ts'
import { imagesSchema } from '#pkg/apis/k0s/v1beta1/images.ts'
import { networkSchema } from '#pkg/apis/k0s/v1beta1/network.ts'
import { type DeepReadonly, oneOf, patches, port, section } from '#pkg/apis/k0s/v1beta1/schema.ts'
import { storageSchema } from '#pkg/apis/k0s/v1beta1/storage.ts'

const user = (value: string): Type.TString => Type.String({ default: value, minLength: 1 })

/** spec of a ClusterConfig. */
export const clusterSpecSchema = section('The cluster.', {
  api: apiSchema,
  controllerManager: programSchema('kube-controller-manager'),
  scheduler: programSchema('kube-scheduler'),
  storage: storageSchema,
  network: networkSchema,
  workerProfiles: workerProfilesSchema,
  featureGates: featureGatesSchema,
  konnectivity: section('The tunnel from controllers to workers.', {
    agentPort: port('Port that the agents of the workers dial.', 8132),
    adminPort: port('Loopback port of the metrics.', 8133),
    externalAddress: Type.Optional(
      Type.String({ description: 'Address that agents dial instead of each controller.' }),
    ),
  }),
  metricsServer: section('metrics-server.', { patches }),
  images: imagesSchema,
  extensions: extensionsSchema,
  installConfig: section('System users of the parts; a part runs as root where its user does not exist.', {
    users: section('User of each part.', {
      etcdUser: user('etcd'),
      kineUser: user('kube-apiserver'),
      konnectivityUser: user('konnectivity-server'),
      kubeAPIserverUser: user('kube-apiserver'),
      kubeSchedulerUser: user('kube-scheduler'),
      k0sApiUser: user('k0s-api'),
    }),
  }),
  telemetry: section('Without effect: nothing is ever reported.', {
    enabled: Type.Boolean({ description: 'Without effect.', default: false }),
  }),
})

/** A whole ClusterConfig, as in the file given by --config. */
export const clusterConfigSchema = Type.Object(
  {
    apiVersion: oneOf(['k0s.k0sproject.io/v1beta1'], {
      description: 'Always this.',
      default: 'k0s.k0sproject.io/v1beta1',
    }),
    kind: oneOf(['ClusterConfig'], { description: 'Always this.', default: 'ClusterConfig' }),
    metadata: Type.Object(
      { name: Type.String({ default: 'k0s' }), namespace: Type.Optional(Type.String()) },
      { default: {}, description: 'Metadata of the object; fields of Kubernetes are accepted.' },
    ),
    spec: clusterSpecSchema,
  },
  { title: 'ClusterConfig', additionalProperties: false },
)

/** spec of a ClusterConfig with all defaults filled in. */
export type ClusterSpec = DeepReadonly<Type.Static<typeof clusterSpecSchema>>

/** A ClusterConfig with all defaults filled in. */
export type ClusterConfig = DeepReadonly<Type.Static<typeof clusterConfigSchema>>
