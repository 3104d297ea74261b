import { hostname } from 'node:os'
import { ComponentManager } from '#pkg/component/manager/manager.ts'
import { ApiCredentials } from '#pkg/component/worker/api-credentials.ts'
import { isTunnelAgent } from '#pkg/component/worker/tunnel-agent.ts'
import { readHostFacts } from '#pkg/component/worker/host-facts.ts'
import { identityPemFile, workerLayout } from '#pkg/component/worker/layout.ts'
import { hasNodeCertificate } from '#pkg/component/worker/node-certificate.ts'
import { processPath } from '#pkg/component/worker/process-env.ts'
import { fetchWorkerConfig, recallApiServers } from '#pkg/component/worker/worker-config.ts'
import type { WorkerDeps, WorkerNodeOptions } from '#pkg/component/worker/worker-context.ts'
import { createBinaries } from '#pkg/assets/binaries.ts'
import { imageArchives } from '#pkg/assets/images.ts'
import type { CfgVars } from '#pkg/config/cfg-vars.ts'
import { modes } from '#pkg/constant/files.ts'
import { K0sError } from '#pkg/errors/error.ts'
import { readIfExists } from '#pkg/file/atomic.ts'
import { assertWritable, ensureDir } from '#pkg/file/directory.ts'
import { acquireLock } from '#pkg/file/lock.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { serviceInfo } from '#pkg/install/service-info.ts'
import { JoinError } from '#pkg/component/worker/errors.ts'
import { kubeletHostName, parseLabels, splitWords } from '#pkg/role/worker-flags.ts'
import { controllerPeers } from '#pkg/role/tunnel-status.ts'
import { workerComponents } from '#pkg/role/worker-components.ts'
import { runUntilStopped } from '#pkg/role/run-until-stopped.ts'
import type { StatusInfo } from '#pkg/status/types.ts'
import { decodeJoinToken, type JoinToken } from '#pkg/token/join-token.ts'
import type { TokenSource } from '#pkg/token/token-source.ts'
import { supervise } from '#pkg/supervisor/process.ts'
import { runOnce } from '#pkg/supervisor/run-once.ts'
import { collectSysinfo, rejections } from '#pkg/sysinfo/sysinfo.ts'

/** `k0s worker`, its flags read. */
export interface WorkerRoleOptions {
  readonly vars: CfgVars
  readonly profile: string
  /** Where the join token is; read only until the node has joined. */
  readonly joinToken?: TokenSource | undefined
  /** `--labels`, `key=value` each. */
  readonly labels: readonly string[]
  /** `--taints`, `key=value:effect` each. */
  readonly taints: readonly string[]
  /** `--kubelet-extra-args`: one text of flags. */
  readonly kubeletExtraArgs: string
  /** `--logging`. */
  readonly logLevels: Readonly<Record<string, string>>
  readonly criSocket?: string | undefined
  readonly cloudProvider: boolean
  readonly ignorePreFlightChecks: boolean
  /** Version of the product, and the command line, for the status socket. */
  readonly version: string
  readonly args: readonly string[]
}

/** Collaborators of a role. */
export interface RoleDeps {
  readonly log: Logger
  /** Its abort (SIGTERM, SIGINT) stops the role in order; `runWorker` then resolves. */
  readonly signal: AbortSignal
}

/** A command needs root. */
export class NotRootError extends K0sError {
  override readonly code = 'ERR_NOT_ROOT'
}

/** The host does not meet the requirements of a worker. */
export class PreFlightError extends K0sError {
  override readonly code = 'ERR_PRE_FLIGHT'
}

/** Longest wait for a component of a node that joins; the address, the token or the host is wrong after that. */
const JOIN_TIMEOUT_MS = 5 * 60_000
/** A node that has joined waits for controllers that are down: it may have been started before them. */
const JOINED_TIMEOUT_MS = 24 * 60 * 60_000

/**
 * Runs a worker until `signal` aborts or somebody asks the status socket to stop. Pods run on after it.
 *
 * @throws NotRootError, PreFlightError, LockHeldError, JoinError, or what a component failed with; all is stopped then.
 */
export async function runWorker(options: WorkerRoleOptions, { log, signal }: RoleDeps): Promise<void> {
  const { vars } = options
  if (process.getuid?.() !== 0) throw new NotRootError('k0s worker must run as root; use sudo')
  await ensureDir(vars.runDir, { mode: modes.runDir })
  await using stack = new AsyncDisposableStack()
  stack.use(await acquireLock(vars.lockFile))
  await ensureDir(vars.dataDir, { mode: modes.dataDir })
  await assertWritable(vars.dataDir)
  await preFlight(options, log)
  const { node, deps, joined } = await prepareNode(options, log)
  const components = workerComponents(node, deps)
  const manager = new ComponentManager(
    { components, readyTimeoutMs: joined ? JOINED_TIMEOUT_MS : JOIN_TIMEOUT_MS },
    { log },
  )
  await runUntilStopped(
    {
      manager,
      statusSocket: vars.statusSocket,
      status: async () => ({
        ...workerStatus(options, manager),
        ...(await serviceInfo('worker')),
        Tunnel: { Controllers: controllerPeers(components.find(isTunnelAgent)?.links() ?? []) },
      }),
      readyMessage: 'worker ready',
      nodeName: node.nodeName,
    },
    { log, signal },
  )
}

/** Checks the host; with --ignore-pre-flight-checks what is wrong is only logged. */
export async function preFlight(
  options: { readonly vars: CfgVars; readonly ignorePreFlightChecks: boolean },
  log: Logger,
): Promise<void> {
  const { vars, ignorePreFlightChecks } = options
  const rows = await collectSysinfo({
    controller: false,
    worker: true,
    dataDir: vars.dataDir,
    path: processPath(vars.binDir),
  })
  for (const { displayName, prop, message, category } of rows) {
    if (category !== 'pass') log.warn('pre-flight check', { check: displayName, found: prop, category, hint: message })
  }
  const rejected = rejections(rows).map(({ displayName, prop, message }) => `${displayName}: ${prop} (${message})`)
  if (rejected.length === 0 || ignorePreFlightChecks) return
  throw new PreFlightError(
    `this host cannot run a worker: ${rejected.join('; ')}; correct that, or start with --ignore-pre-flight-checks`,
  )
}

/** What the user said and the host is, as the graph needs it. */
async function prepareNode(
  options: WorkerRoleOptions,
  log: Logger,
): Promise<{ readonly node: WorkerNodeOptions; readonly deps: WorkerDeps; readonly joined: boolean }> {
  const { vars, profile } = options
  const layout = workerLayout(vars)
  const joined = await hasNodeCertificate(layout.kubeletClientPem)
  const kubeletExtraArgs = splitWords(options.kubeletExtraArgs)
  const { caPem, servers, token } = await apiAccess(options, joined)
  const credentials = new ApiCredentials(
    {
      caPem,
      token,
      servers: () => servers,
      nodePemFile: layout.kubeletClientPem,
      workerPemFile: identityPemFile(vars, 'worker'),
    },
    { log },
  )
  const node: WorkerNodeOptions = {
    vars,
    profile,
    nodeName: kubeletHostName(kubeletExtraArgs) ?? hostname().toLowerCase(),
    labels: parseLabels(options.labels),
    taints: options.taints,
    kubeletExtraArgs,
    logLevels: options.logLevels,
    criSocket: options.criSocket,
    cloudProvider: options.cloudProvider,
    apiServers: servers,
    startAfter: { credentials: [], api: [] },
  }
  const deps: WorkerDeps = {
    log,
    binaries: createBinaries({ binDir: vars.binDir }),
    supervise,
    runOnce,
    credentials,
    host: await readHostFacts(vars.binDir),
    imageArchives,
    configSource: {
      local: false,
      read: async (signal) =>
        await credentials.call(async (client) => await fetchWorkerConfig(client, profile, signal), {
          as: 'worker',
          signal,
        }),
    },
  }
  return { node, deps, joined }
}

interface ApiAccess {
  readonly caPem: string
  readonly servers: readonly string[]
  readonly token?: string | undefined
}

/** A node that has joined knows the cluster from its disk and ignores the token; the others need one. */
async function apiAccess({ vars, joinToken }: WorkerRoleOptions, joined: boolean): Promise<ApiAccess> {
  const layout = workerLayout(vars)
  const caPem = await readIfExists(layout.caFile)
  if (joined && caPem !== undefined) {
    const token = joinToken === undefined ? undefined : await tryDecode(joinToken)
    const servers = [
      ...(await recallApiServers(layout.rememberedConfigFile)),
      ...(token === undefined ? [] : [hostPortOf(token.server)]),
    ]
    if (servers.length > 0) return { caPem, servers }
    throw new JoinError(
      `this node has joined, but ${layout.rememberedConfigFile} with the addresses of the controllers is gone; start it once with a join token`,
    )
  }
  if (joinToken === undefined) {
    throw new JoinError(
      'this node has not joined a cluster yet and needs a join token: create one with "k0s token create --role worker" on a controller and give it as argument, with --token-file or in K0S_TOKEN',
    )
  }
  const token = decodeJoinToken(await joinToken(), 'worker')
  const { id, secret } = token.bootstrapToken
  return { caPem: token.caPem, token: `${id}.${secret}`, servers: [hostPortOf(token.server)] }
}

/** On a joined node a bad token is no reason not to start. */
async function tryDecode(source: TokenSource): Promise<JoinToken | undefined> {
  try {
    return decodeJoinToken(await source(), 'worker')
  } catch {
    return undefined
  }
}

/** `https://host:port` as `host:port`. */
function hostPortOf(server: string): string {
  const url = new URL(server)
  return url.port === '' ? `${url.hostname}:443` : url.host
}

function workerStatus(options: WorkerRoleOptions, manager: ComponentManager): Omit<StatusInfo, 'Components'> {
  const api = manager.status().find(({ name }) => name === 'kubelet')
  return {
    Version: options.version,
    Pid: process.pid,
    PPid: process.ppid,
    Role: 'worker',
    SysInit: '',
    StubFile: '',
    Output: '',
    Workloads: true,
    SingleNode: false,
    Args: options.args,
    WorkerToAPIConnectionStatus: { Message: api?.reason ?? '', Success: api?.state === 'ready' },
    ClusterConfig: null,
    K0sVars: { ...options.vars },
  }
}
