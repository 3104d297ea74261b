import type { Component, StartContext } from '#pkg/component/component.ts'
import { storageComponent, type ControllerOptions } from '#pkg/component/controller/context.ts'
import { hasEtcdLog, readJoinState, writeJoinState } from '#pkg/component/controller/join-state.ts'
import { pkiPlan } from '#pkg/component/controller/pki.ts'
import { modes } from '#pkg/constant/files.ts'
import { errorMessage, K0sError } from '#pkg/errors/error.ts'
import { readIfExists, writeFileAtomic } from '#pkg/file/atomic.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { backoffMs } from '#pkg/lifecycle/backoff.ts'
import { sleep } from '#pkg/lifecycle/sleep.ts'
import type { Logger } from '#pkg/log/logger.ts'

/** This host cannot become a controller of the cluster of its token. */
export class ControllerJoinError extends K0sError {
  override readonly code = 'ERR_CONTROLLER_JOIN'
}

/** An authority that the cluster shares among its controllers; PEM. */
interface SharedFiles {
  readonly keyPem: string
  readonly certPem: string
  readonly saKeyPem?: string | undefined
  readonly saPublicPem?: string | undefined
}

/** The join API of a running controller (pkg/api/client.ts). */
export interface JoinApi {
  authority(signal: AbortSignal): Promise<SharedFiles>
  joinEtcd(
    request: { readonly node: string; readonly peerAddress: string },
    signal: AbortSignal,
  ): Promise<{ readonly authority: SharedFiles; readonly initialCluster: readonly string[] }>
}

/** Collaborators of the component. */
export interface JoinDeps {
  readonly api: JoinApi
  /** `https://host:9443`, for messages and the state. */
  readonly server: string
}

/** How often a wait is logged. */
const COMPLAIN_EVERY_MS = 10_000

/**
 * Makes this host a controller of a running cluster: fetches its authorities and becomes a learner of its etcd. Killed at any point it
 * goes on at the next start (docs/adr/0011-joining-controllers.md).
 */
export function join(options: ControllerOptions, deps: JoinDeps): Component {
  return {
    name: JOIN,
    after: [],
    start: (context) => joinCluster(options, deps, context),
    ready: () => Promise.resolve(),
    stop: () => Promise.resolve(),
  }
}

/** Name of the component. */
export const JOIN = 'join'

async function joinCluster(options: ControllerOptions, deps: JoinDeps, { signal, log }: StartContext): Promise<void> {
  const { vars, spec, nodeName } = options
  const { api, server } = deps
  const patiently = <T>(what: string, fn: () => Promise<T>): Promise<T> => untilAllowed(what, fn, { signal, log })
  const plan = pkiPlan(options)
  await ensureDir(vars.dataDir, { mode: modes.dataDir })
  const before = await readJoinState(vars)
  if (before === undefined) await writeJoinState(vars, { step: 'authorities', server })
  if (before?.step !== 'member') {
    const shared = await patiently('the authorities of the cluster', () => api.authority(signal))
    await ensureDir(vars.pkiDir, { mode: modes.pkiDir })
    await place(plan.authorities.ca.files.certPath, shared.certPem, { isSecret: false })
    await place(plan.authorities.ca.files.keyPath, shared.keyPem, { isSecret: true })
    await place(plan.serviceAccount.keyPath, shared.saKeyPem ?? '', { isSecret: true })
    await place(plan.serviceAccount.publicKeyPath, shared.saPublicPem ?? '', { isSecret: false })
    log.info('authorities of the cluster received', { server })
  }
  if (storageComponent(spec) !== 'etcd') return writeJoinState(vars, { step: 'joined', server })
  if (await hasEtcdLog(vars)) return // it is a member already; etcd tells when it votes
  const request = { node: nodeName, peerAddress: spec.storage.etcd.peerAddress }
  const { authority, initialCluster } = await patiently('a place in etcd', () => api.joinEtcd(request, signal))
  await ensureDir(vars.etcdPkiDir, { mode: modes.etcdPkiDir })
  const { files } = plan.authorities.etcdCa
  await place(files.certPath, authority.certPem, { isSecret: false })
  await place(files.keyPath, authority.keyPem, { isSecret: true })
  await writeJoinState(vars, { step: 'member', server, initialCluster })
  log.info('this host is a member of etcd, to catch up before it votes', { server, initialCluster })
}

/** Writes a file of the cluster. What is there of another cluster is never replaced. @throws ControllerJoinError */
async function place(path: string, pem: string, { isSecret }: { readonly isSecret: boolean }): Promise<void> {
  const there = await readIfExists(path)
  if (there !== undefined && there.trim() !== pem.trim()) {
    throw new ControllerJoinError(
      `${path} is not of the cluster that this host is to join: it belongs to another one; "k0s reset" removes that, or start without a join token`,
    )
  }
  // Owners are set by the component that makes the certificates.
  if (there === undefined) await writeFileAtomic(path, pem, { mode: isSecret ? modes.privateKey : modes.certificate })
}

/** Tries until the controller does it; what waiting cannot change is thrown. */
async function untilAllowed<T>(
  what: string,
  fn: () => Promise<T>,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<T> {
  let complainedAt = -Infinity
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await fn()
    } catch (err) {
      signal.throwIfAborted()
      if (!(err instanceof K0sError) || err.code !== 'ERR_JOIN_DELAYED') throw err
      if (performance.now() - complainedAt > COMPLAIN_EVERY_MS) {
        log.warn(`waiting for ${what}`, { reason: errorMessage(err) })
        complainedAt = performance.now()
      }
    }
    await sleep(backoffMs(attempt, { initialMs: 250, maxMs: 3_000 }), { signal })
  }
}
