import { join } from 'node:path'

/** With what a client of a controller's own etcd proves itself, and knows it by: the certificate that the API server has, too. */
export interface EtcdClientFiles {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Where a controller has them. Pure. */
export function etcdClientFiles({
  etcdPkiDir,
  pkiDir,
}: {
  readonly etcdPkiDir: string
  readonly pkiDir: string
}): EtcdClientFiles {
  const client = join(pkiDir, 'apiserver-etcd-client')
  return { ca: join(etcdPkiDir, 'ca.crt'), cert: `${client}.crt`, key: `${client}.key` }
}
