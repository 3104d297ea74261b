import type { ApiChildConfig } from '#pkg/api/child-config.ts'
import type { PkiMaterial } from '#pkg/component/controller/certificates.ts'
import { localApiServer, storageComponent, type ControllerOptions } from '#pkg/component/controller/context.ts'
import type { LeafName } from '#pkg/component/controller/pki.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'

/** What `k0s api` reads from its standard input. Pure. */
export function controlApiConfig({ spec }: Pick<ControllerOptions, 'spec'>, material: PkiMaterial): ApiChildConfig {
  const { authorities, leaves, serviceAccount } = material
  const pair = ({ certPem, keyPem }: Pair): Pair => ({ certPem, keyPem })
  const leaf = (name: LeafName): Pair => {
    const found = leaves[name]
    if (found === undefined) throw new Error(`there is no certificate ${name}`)
    return pair(found)
  }
  return {
    listen: { ...(spec.api.onlyBindToAddress && { host: spec.api.address }), port: spec.api.k0sApiPort },
    serving: leaf('controlApi'),
    kube: { server: localApiServer(spec), caPem: authorities.ca.certPem, ...leaf('controlApiClient') },
    authority: {
      ...pair(authorities.ca),
      saKeyPem: serviceAccount.keyPem,
      saPublicPem: serviceAccount.publicKeyPem,
    },
    ...(storageComponent(spec) === 'etcd' && {
      etcd: {
        authority: pair(authorities.etcdCa),
        endpoint: etcdClientUrl,
        tls: { caPem: authorities.etcdCa.certPem, ...leaf('etcdClient') },
      },
    }),
  }
}

interface Pair {
  readonly certPem: string
  readonly keyPem: string
}
