import type { ClusterSpec } from '#pkg/apis/k0s/v1beta1/cluster-config.ts'

/** Images of this product that run as pods; keys of spec.images. */
export type ComponentImage = 'coredns' | 'metricsserver' | 'pause'

const shippedNames: Readonly<Record<ComponentImage, string>> = {
  coredns: 'coredns',
  metricsserver: 'metrics-server',
  pause: 'pause',
}

/**
 * Reference of an image: what spec.images says of it over what is shipped, and spec.images.repository in place of the
 * registry. Pure.
 */
export function imageReference(
  { images }: ClusterSpec,
  key: ComponentImage,
  shipped: Readonly<Record<string, string>>,
): string {
  const { name, tag } = split(shipped[shippedNames[key]] ?? shippedNames[key])
  const chosen = images[key]
  const repository = images.repository?.replace(/\/+$/, '')
  const image = chosen?.image ?? name
  const placed = repository === undefined ? image : `${repository}/${withoutRegistry(image)}`
  const version = chosen?.version ?? tag
  return version === '' ? placed : `${placed}:${version}`
}

function split(reference: string): { readonly name: string; readonly tag: string } {
  const colon = reference.lastIndexOf(':')
  // A colon before a slash is that of the registry's port.
  if (colon === -1 || reference.includes('/', colon)) return { name: reference, tag: '' }
  return { name: reference.slice(0, colon), tag: reference.slice(colon + 1) }
}

/** A first part with a dot or a colon, or `localhost`, is a registry. */
function withoutRegistry(image: string): string {
  const [first = '', ...rest] = image.split('/')
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? rest.join('/') : image
}
