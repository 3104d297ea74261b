import { join } from 'node:path'
import type { EtcdStart } from '#pkg/component/controller/etcd-args.ts'
import { readJoinState } from '#pkg/component/controller/join-state.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import type { EtcdMember } from '#pkg/etcd/member.ts'

/** What this host knew last of the members of etcd: it starts with the timing for them. */
interface Remembered {
  readonly members: readonly Pick<EtcdMember, 'name' | 'peerUrls'>[]
}

function file({ dataDir }: Pick<CfgVars, 'dataDir'>): string {
  return join(dataDir, 'etcd-members.json')
}

/** How the member of this host is to start. @throws FileError */
export async function etcdStart(vars: Pick<CfgVars, 'dataDir'>): Promise<EtcdStart> {
  const [state, members] = await Promise.all([readJoinState(vars), rememberedMembers(vars)])
  const told = state?.initialCluster?.length ?? 1
  return { initialCluster: state?.initialCluster, alone: (members.length === 0 ? told : members.length) <= 1 }
}

/** Those that this host knew last; none before it knew any. @throws FileError */
export async function rememberedMembers(vars: Pick<CfgVars, 'dataDir'>): Promise<Remembered['members']> {
  const text = await readIfExists(file(vars))
  return text === undefined ? [] : (JSON.parse(text) as Remembered).members
}

/** @throws FileError */
export async function rememberMembers(vars: Pick<CfgVars, 'dataDir'>, members: readonly EtcdMember[]): Promise<void> {
  const remembered: Remembered = {
    members: members.map(({ name, peerUrls }) => ({ name, peerUrls })).sort((a, b) => a.name.localeCompare(b.name)),
  }
  await writeFileAtomic(file(vars), `${JSON.stringify(remembered, undefined, 2)}\n`, { mode: 0o644 })
}
