import { readFile } from 'node:fs/promises'
import { createBinaries } from '#pkg/assets/binaries.ts'
import type { ResetStep } from '#pkg/cleanup/step.ts'
import { storageComponent } from '#pkg/component/controller/context.ts'
import { etcdPeerUrl } from '#pkg/component/controller/etcd-args.ts'
import { rememberedMembers } from '#pkg/component/controller/etcd-peers.ts'
import { etcdProcessSpec } from '#pkg/component/controller/etcd-process.ts'
import { hasEtcdLog, readJoinState } from '#pkg/component/controller/join-state.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { loadNodeConfig, type NodeConfig } from '#pkg/config/load.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage } from '#pkg/errors/error.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'
import { fetchMembersFromAny } from '#pkg/etcd/any-member.ts'
import { etcdClientFiles } from '#pkg/etcd/client-files.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { componentUsers } from '#pkg/role/controller-users.ts'
import { supervise } from '#pkg/supervisor/process.ts'

/** etcd lets nobody go before those that stay have been connected for five seconds. */
const LEAVE_WITHIN_MS = 30_000
const RETRY_MS = 500
const STOP_GRACE_MS = 1_000

/**
 * A controller that is reset leaves the members of etcd first: a member that never comes back costs the others their safety, and the
 * other one of two its quorum. Its own etcd runs for that once more, as without it two members are no quorum. What cannot be done is
 * said with the command that does it, and the reset goes on: the host may be all that is left.
 */
export function leaveEtcd({ configFile }: { readonly configFile: string }): ResetStep {
  return {
    name: 'etcd',
    run: async ({ vars, log, signal }) => {
      let address = 'ADDRESS of this host'
      try {
        const host = await hostAmongMembers({ vars, configFile })
        if (host === undefined) return nothing
        address = host.config.spec.storage.etcd.peerAddress
        const self = await memberOfHost(host, signal)
        if (self === undefined) return nothing
        if (self.isLearner) throw new Error('it is a learner, which is removed by others only')
        await removeSelf(host, { log, signal })
        log.info('this controller has left the members of etcd', { member: host.config.nodeName })
        return { removed: [`member ${host.config.nodeName} of etcd`], problems: [] }
      } catch (err) {
        signal.throwIfAborted()
        log.warn('this controller may still be a member of etcd', {
          reason: errorMessage(err),
          remedy: `run "k0s etcd leave --peer-address ${address}" on a controller that stays, once most of them run`,
        })
        return nothing
      }
    },
  }
}

const nothing = { removed: [], problems: [] } as const

/** This host and the members of a cluster that goes on without it, as far as its disk tells. */
interface HostAmongMembers {
  readonly config: NodeConfig
  readonly peerUrl: string
  /** Peer URLs. */
  readonly others: readonly string[]
  readonly tls: EtcdTls
}

/** Undefined for a host that has been no member, or the only one. @throws ConfigError, FileError */
async function hostAmongMembers({
  vars,
  configFile,
}: {
  readonly vars: CfgVars
  readonly configFile: string
}): Promise<HostAmongMembers | undefined> {
  const [state, remembered, hasLog] = await Promise.all([
    readJoinState(vars),
    rememberedMembers(vars),
    hasEtcdLog(vars),
  ])
  if (!hasLog && state?.step !== 'member') return undefined
  const config = await loadNodeConfig({ configFile, vars, single: false })
  if (storageComponent(config.spec) !== 'etcd') return undefined
  const peerUrl = etcdPeerUrl(config)
  const told = (state?.initialCluster ?? []).map((entry) => entry.slice(entry.indexOf('=') + 1))
  const known = remembered.length > 0 ? remembered.flatMap(({ peerUrls }) => peerUrls) : told
  const others = known.filter((url) => url !== peerUrl)
  if (others.length === 0) return undefined
  return { config, peerUrl, others, tls: await readTls(vars) }
}

/** Undefined when the others have no such member. @throws EtcdError when nobody tells */
async function memberOfHost(
  { peerUrl, others, tls }: HostAmongMembers,
  signal: AbortSignal,
): Promise<EtcdMember | undefined> {
  const members = await fetchMembersFromAny(others, { tls, signal })
  return members.find(({ peerUrls }) => peerUrls.includes(peerUrl))
}

async function readTls(vars: CfgVars): Promise<EtcdTls> {
  const { ca, cert, key } = etcdClientFiles(vars)
  const [caPem, certPem, keyPem] = await Promise.all([
    readFile(ca, 'utf8'),
    readFile(cert, 'utf8'),
    readFile(key, 'utf8'),
  ])
  return { caPem, certPem, keyPem }
}

/** Runs etcd until the others have let it go. @throws with the reason why they do not */
async function removeSelf(
  { config, peerUrl, tls, others }: HostAmongMembers,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  const { vars, spec, nodeName } = config
  const [{ EtcdClient }, { leaveCluster }, users] = await Promise.all([
    import('#pkg/etcd/client.ts'),
    import('#pkg/etcd/leave.ts'),
    componentUsers(spec),
  ])
  await ensureDir(vars.runDir, { mode: modes.runDir }) // it is gone after a reboot
  const binaries = createBinaries({ binDir: vars.binDir })
  const process = await etcdProcessSpec(
    { vars, spec, nodeName, users, logLevels: { etcd: 'error' } },
    { binaries, signal },
  )
  const etcd = supervise({ ...process, stopGraceMs: STOP_GRACE_MS }, { log })
  await using client = new EtcdClient({ endpoints: [etcdClientUrl], tls })
  log.info('this controller leaves the members of etcd', { member: nodeName })
  try {
    await etcd.start()
    const deadline = performance.now() + LEAVE_WITHIN_MS
    for (;;) {
      try {
        await leaveCluster(peerUrl, { client, askOthers: (urls) => fetchMembersFromAny(urls, { tls, signal }) })
        return
      } catch (err) {
        // The answer may be lost, as etcd ends with the removal.
        const members = await fetchMembersFromAny(others, { tls, signal }).catch(() => undefined)
        if (members?.some(({ peerUrls }) => peerUrls.includes(peerUrl)) === false) return
        if (performance.now() > deadline) throw err
      }
      await sleep(RETRY_MS, { signal })
    }
  } finally {
    await etcd.stop()
  }
}
