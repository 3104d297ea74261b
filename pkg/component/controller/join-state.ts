import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { modes } from '#pkg/constant/files.ts'
import { errnoCode } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { asFileError } from '#pkg/file/errors.ts'

/**
 * How far a host has come that joins a running cluster; <data-dir>/join.json, written before what it announces. A host without that
 * file has founded its cluster, or has nothing yet.
 *
 *   authorities ─► member ─► joined        (embedded etcd)
 *   authorities ────────────► joined       (a shared database)
 */
export interface JoinState {
  readonly step: 'authorities' | 'member' | 'joined'
  /** The join API that it asks. */
  readonly server: string
  /** `name=URL` of the members of etcd, this one included; from `member` on. */
  readonly initialCluster?: readonly string[]
}

/** Where the state is kept. */
export function joinStateFile({ dataDir }: Pick<CfgVars, 'dataDir'>): string {
  return join(dataDir, 'join.json')
}

/** The state, or undefined for a host that did not begin to join. @throws FileError */
export async function readJoinState(vars: Pick<CfgVars, 'dataDir'>): Promise<JoinState | undefined> {
  const text = await readIfExists(joinStateFile(vars))
  return text === undefined ? undefined : (JSON.parse(text) as JoinState)
}

/** @throws FileError */
export async function writeJoinState(vars: Pick<CfgVars, 'dataDir'>, state: JoinState): Promise<void> {
  await writeFileAtomic(joinStateFile(vars), `${JSON.stringify(state, undefined, 2)}\n`, { mode: modes.secretFile })
}

/** Whether etcd has a log here, which makes it start as the member that it was; etcd decides by the same. */
export async function hasEtcdLog({ etcdDataDir }: Pick<CfgVars, 'etcdDataDir'>): Promise<boolean> {
  const dir = join(etcdDataDir, 'member', 'wal')
  const names = await asFileError('read', dir, async () => {
    try {
      return await readdir(dir)
    } catch (err) {
      if (errnoCode(err) === 'ENOENT') return []
      throw err
    }
  })
  return names.some((name) => name.endsWith('.wal'))
}
