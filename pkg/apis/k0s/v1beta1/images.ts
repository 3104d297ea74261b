import * as Type from 'typebox'
import { image, item, oneOf, section } from '#pkg/apis/k0s/v1beta1/schema.ts'

const ref = Type.Optional(image)

/** spec.images. What is not given comes from the archives that the product brings along. */
export const imagesSchema = section('Images of the components that run as pods; default: those shipped with k0s.', {
  repository: Type.Optional(Type.String({ description: 'Registry that replaces the one of every image.' })),
  default_pull_policy: oneOf(['Always', 'IfNotPresent', 'Never'], {
    description: 'imagePullPolicy of the components.',
    default: 'IfNotPresent',
  }),
  coredns: ref,
  metricsserver: ref,
  pause: ref,
  konnectivity: ref,
  pushgateway: ref,
  kubeproxy: ref,
  calico: Type.Optional(
    item({
      cni: ref,
      node: ref,
      kubecontrollers: ref,
      flexvolume: ref,
      windows: Type.Optional(item({ cni: ref, node: ref })),
    }),
  ),
  kuberouter: Type.Optional(item({ cni: ref, cniInstaller: ref })),
  windows: Type.Optional(item({ kubeproxy: ref, pause: ref })),
})
