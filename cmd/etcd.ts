import { controllerStatus } from '#cmd/cluster-access.ts'
import { defineCommand } from '#cmd/define.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { outputFlags, pathFlags, varsOf } from '#cmd/flags/shared.ts'
import { requireRoot } from '#cmd/require-root.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import type { EtcdClient } from '#pkg/etcd/client.ts'
import type { LeaveDeps } from '#pkg/etcd/leave.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'

export const etcdMemberList = defineCommand({
  id: 'etcd member-list',
  summary: 'List the members of etcd',
  examples: [
    { description: 'For a script: {"members":{name: URL}}', command: 'etcd member-list' },
    { description: 'For people', command: 'etcd member-list -o table' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    out: flag.choice('format of the list', ['json', 'table'], { default: 'json', short: 'o' }),
  },
  run: async ({ flags, io }) => {
    requireRoot(io, 'etcd member-list')
    const { renderMembers } = await import('#pkg/etcd/render.ts')
    await using client = await localEtcd(await clientTls(varsOf(flags)))
    io.stdout(renderMembers(await client.members(), flags.out))
  },
})

export const etcdLeave = defineCommand({
  id: 'etcd leave',
  summary: 'Remove a controller from the members of etcd',
  description:
    'This one, unless --peer-address names another, which may be down. The last member cannot leave. A controller that has left is stopped with "k0s stop" and made a new host with "k0s reset".',
  examples: [
    { description: 'On the controller that is to go', command: 'etcd leave' },
    { description: 'On another one, for a controller that is lost', command: 'etcd leave --peer-address=10.0.0.3' },
  ],
  flags: {
    ...pathFlags,
    ...outputFlags({ verbose: false }),
    'peer-address': flag.optionalText('address of the member (default: this controller)'),
  },
  run: async ({ flags, io }) => {
    requireRoot(io, 'etcd leave')
    const vars = varsOf(flags)
    const [{ leaveCluster }, { peerUrlAt }, { fetchMembersFromAny }] = await Promise.all([
      import('#pkg/etcd/leave.ts'),
      import('#pkg/etcd/addresses.ts'),
      import('#pkg/etcd/any-member.ts'),
    ])
    const address = flags['peer-address'] ?? (await ownPeerAddress(vars))
    const tls = await clientTls(vars)
    await using client = await localEtcd(tls)
    if (flags['peer-address'] === undefined) await withdraw(vars)
    const signal = new AbortController().signal
    const askOthers: LeaveDeps['askOthers'] = (urls) => fetchMembersFromAny(urls, { tls, signal })
    const { name } = await leaveCluster(peerUrlAt(address), { client, askOthers })
    io.stdout(`${name === '' ? address : name} is no member of etcd any more\n`)
  },
})

/**
 * Takes this controller off the list that workers are given, while its API server still can. Nothing depends on it: the others
 * remove the lease once it has expired, and this controller writes it again if it stays.
 */
async function withdraw(vars: CfgVars): Promise<void> {
  const [{ CONTROLLER_LEASE_PREFIX, controllerLeaseRef }, { hostname }, { adminClient }] = await Promise.all([
    import('#pkg/component/cluster/controller-lease.ts'),
    import('node:os'),
    import('#cmd/cluster-access.ts'),
  ])
  try {
    const client = await adminClient(vars)
    const name = `${CONTROLLER_LEASE_PREFIX}${hostname().toLowerCase()}`
    const signal = AbortSignal.timeout(WITHDRAW_TIMEOUT_MS)
    await client.delete(controllerLeaseRef, name, { signal }).finally(() => client.close())
  } catch {
    // It is not there, or nobody answers.
  }
}

const WITHDRAW_TIMEOUT_MS = 5_000

/** The etcd of this controller. */
async function localEtcd(tls: EtcdTls): Promise<EtcdClient> {
  const [{ EtcdClient: Client }, { etcdClientUrl }] = await Promise.all([
    import('#pkg/etcd/client.ts'),
    import('#pkg/etcd/addresses.ts'),
  ])
  return new Client({ endpoints: [etcdClientUrl], tls })
}

/** What the etcd of this controller lets in. @throws EtcdError on a host that runs none, FileError */
async function clientTls(vars: CfgVars): Promise<EtcdTls> {
  const [{ EtcdError }, { readIfExists }, files] = await Promise.all([
    import('#pkg/etcd/errors.ts'),
    import('#pkg/file/atomic.ts'),
    import('#pkg/etcd/client-files.ts'),
  ])
  const read = async (path: string): Promise<string> => {
    const text = await readIfExists(path)
    if (text === undefined)
      throw new EtcdError('this host runs no etcd of its own; for an external etcd use its own tools')
    return text
  }
  const { ca, cert, key } = files.etcdClientFiles(vars)
  const [caPem, certPem, keyPem] = await Promise.all([read(ca), read(cert), read(key)])
  return { caPem, certPem, keyPem }
}

async function ownPeerAddress(vars: CfgVars): Promise<string> {
  const [{ NotRunningError }, { loadNodeConfig }, { defaultConfigFile }] = await Promise.all([
    import('#pkg/status/errors.ts'),
    import('#pkg/config/load.ts'),
    import('#pkg/config/cfg-vars.ts'),
  ])
  try {
    const { ClusterConfig } = await controllerStatus(vars)
    const { spec } = ClusterConfig as { spec?: { storage?: { etcd?: { peerAddress?: string } } } }
    if (spec?.storage?.etcd?.peerAddress !== undefined) return spec.storage.etcd.peerAddress
  } catch (err) {
    if (!(err instanceof NotRunningError)) throw err
  }
  const config = await loadNodeConfig({ configFile: defaultConfigFile, vars, single: false })
  return config.spec.storage.etcd.peerAddress
}
