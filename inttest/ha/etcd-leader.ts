import { join } from 'node:path'
import type { Cluster } from '#inttest/common/cluster.ts'
import { eventually } from '#inttest/common/eventually.ts'
import type { Host } from '#inttest/common/host.ts'
import { checkout } from '#inttest/common/names.ts'

const ETCDCTL = join(checkout, 'embedded-bins', 'staging', 'test-bin', 'etcdctl')
const PKI = '/var/lib/k0s/pki'
const CREDENTIALS = [
  `--cacert=${PKI}/etcd/ca.crt`,
  `--cert=${PKI}/apiserver-etcd-client.crt`,
  `--key=${PKI}/apiserver-etcd-client.key`,
]

interface EndpointStatus {
  readonly Status: { readonly header: { readonly member_id: bigint }; readonly leader: bigint }
}

async function status(host: Host): Promise<{ readonly id: string; readonly leader: string }> {
  const text = await host.must([ETCDCTL, ...CREDENTIALS, 'endpoint', 'status', '-w', 'json'])
  // Ids are uint64, more than a number of JavaScript holds.
  const quoted = text.replaceAll(/"(member_id|leader)":(\d+)/g, '"$1":"$2"')
  const [first] = JSON.parse(quoted) as EndpointStatus[]
  return { id: String(first?.Status.header.member_id), leader: String(first?.Status.leader) }
}

/** The controller whose etcd leads; elections are waited for. */
export async function etcdLeader({ controllers }: Cluster): Promise<Host> {
  return await eventually('a member of etcd leads', 60_000, async () => {
    for (const host of controllers) {
      const { id, leader } = await status(host)
      if (id === leader) return host
    }
    throw new Error('none does')
  })
}

/** Makes the etcd of `host` lead. */
export async function makeEtcdLeader(cluster: Cluster, host: Host): Promise<void> {
  const leader = await etcdLeader(cluster)
  if (leader === host) return
  const { id } = await status(host)
  await leader.must([ETCDCTL, ...CREDENTIALS, 'move-leader', BigInt(id).toString(16)])
}
