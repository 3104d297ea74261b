import * as Type from 'typebox'
import { duration, item, section, strings } from '#pkg/apis/k0s/v1beta1/schema.ts'

const repository = item({
  name: Type.String({ minLength: 1 }),
  url: Type.String({ minLength: 1 }),
  insecure: Type.Optional(Type.Boolean()),
  caFile: Type.Optional(Type.String()),
  certFile: Type.Optional(Type.String()),
  keyfile: Type.Optional(Type.String()),
  username: Type.Optional(Type.String()),
  password: Type.Optional(Type.String()),
})

const chart = item({
  name: Type.String({ minLength: 1 }),
  chartname: Type.String({ minLength: 1 }),
  version: Type.Optional(Type.String()),
  values: Type.Optional(Type.String()),
  namespace: Type.String({ minLength: 1 }),
  timeout: Type.Optional(duration('How long an installation may take.')),
  forceUpgrade: Type.Optional(Type.Boolean()),
  order: Type.Integer({ default: 0 }),
})

/** spec.extensions. */
export const extensionsSchema = section('What is installed besides Kubernetes.', {
  helm: section('Helm charts; not installed yet.', {
    concurrencyLevel: Type.Integer({ description: 'Charts handled at once.', default: 5, minimum: 1 }),
    repositories: Type.Array(repository, { default: [] }),
    charts: Type.Array(chart, { default: [] }),
  }),
  // Deprecated and without effect, as in k0s since 1.31.
  storage: Type.Optional(
    item({ type: Type.Optional(Type.String()), create_default_storage_class: Type.Optional(Type.Boolean()) }),
  ),
})

/** spec.workerProfiles: kubelet settings by name. */
export const workerProfilesSchema = Type.Array(
  item({
    name: Type.String({ minLength: 1 }),
    values: Type.Record(Type.String(), Type.Unknown(), {
      description: 'Fields of KubeletConfiguration.',
      default: {},
    }),
  }),
  { description: 'Kubelet settings that workers choose with --profile.', default: [] },
)

/** Programs that a feature gate can be set for. */
export const featureGateComponents = [
  'kube-apiserver',
  'kube-controller-manager',
  'kubelet',
  'kube-scheduler',
  'kube-proxy',
] as const

/** spec.featureGates. */
export const featureGatesSchema = Type.Array(
  item({
    name: Type.String({ minLength: 1 }),
    enabled: Type.Boolean(),
    components: strings(`Programs that get it: ${featureGateComponents.join(', ')}; empty: all of them.`),
  }),
  { description: 'Feature gates of Kubernetes.', default: [] },
)
