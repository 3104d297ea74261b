import { JoinClient } from '#pkg/api/client.ts'
import { storageComponent } from '#pkg/component/controller/context.ts'
import { ControllerJoinError, type JoinDeps } from '#pkg/component/controller/join.ts'
import { hasEtcdLog, joinStateFile, readJoinState } from '#pkg/component/controller/join-state.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import { readIfExists } from '#pkg/file/atomic.ts'
import type { Logger } from '#pkg/log/logger.ts'
import type { ControllerRoleOptions } from '#pkg/role/controller-options.ts'
import { decodeJoinToken } from '#pkg/token/join-token.ts'

/**
 * The cluster that this host is still to join, or undefined for one that has joined, or founded, a cluster: such a host ignores its
 * token, which may long be used up, or gone with its file.
 *
 * @throws TokenError, FileError for a token that cannot be used, ControllerJoinError when one is needed and missing, UsageError
 */
export async function controllerJoin(
  { single, joinToken, dryRun }: Pick<ControllerRoleOptions, 'single' | 'joinToken' | 'dryRun'>,
  config: NodeConfig,
  log: Logger,
): Promise<JoinDeps | undefined> {
  const { vars, spec } = config
  if (single && joinToken !== undefined) {
    throw new UsageError('--single cannot be combined with a join token: such a node is a whole cluster')
  }
  if (dryRun && joinToken === undefined) return undefined // who has joined is root's to read
  const state = await readJoinState(vars)
  const isMember = storageComponent(spec) === 'etcd' && (await hasEtcdLog(vars))
  const isFounder = state === undefined && (isMember || (await sharesDatabase(config)))
  if (isFounder || isMember || state?.step === 'joined') {
    if (joinToken !== undefined) log.info('join token ignored: this host is a controller of a cluster already')
    return undefined
  }
  if (joinToken === undefined) {
    if (state === undefined) return undefined
    throw new ControllerJoinError(
      `this host has begun to join the cluster at ${state.server} and was interrupted: start it with a join token again, or remove ${joinStateFile(vars)} with "k0s reset" to begin a cluster of its own`,
    )
  }
  const { server, caPem, bootstrapToken } = decodeJoinToken(await joinToken(), 'controller')
  const token = `${bootstrapToken.id}.${bootstrapToken.secret}`
  return { server, api: new JoinClient({ server, caPem, token }) }
}

/** A host without etcd that has the keys of a cluster is one of its controllers. */
async function sharesDatabase({ vars, spec }: NodeConfig): Promise<boolean> {
  if (storageComponent(spec) === 'etcd') return false
  const files = [`${vars.pkiDir}/ca.key`, `${vars.pkiDir}/sa.key`]
  return (await Promise.all(files.map(readIfExists))).every((text) => text !== undefined)
}
