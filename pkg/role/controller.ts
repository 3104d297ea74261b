import { stringify } from 'yaml'
import { createBinaries } from '#pkg/assets/binaries.ts'
import { imageReferences } from '#pkg/assets/versions.ts'
import type { Component } from '#pkg/component/component.ts'
import { isTunnelAgent } from '#pkg/component/worker/tunnel-agent.ts'
import { EtcdRemovedError } from '#pkg/component/controller/etcd.ts'
import type { JoinDeps } from '#pkg/component/controller/join.ts'
import { virtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import { ensurePki } from '#pkg/component/controller/certificates.ts'
import { ComponentManager } from '#pkg/component/manager/manager.ts'
import { loadNodeConfig, type NodeConfig } from '#pkg/config/load.ts'
import { problemText } from '#pkg/config/problem.ts'
import { modes } from '#pkg/constant/files.ts'
import { UsageError } from '#pkg/errors/usage.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'
import { assertWritable, ensureDir } from '#pkg/file/directory.ts'
import { acquireLock } from '#pkg/file/lock.ts'
import { serviceInfo } from '#pkg/install/service-info.ts'
import { type ClientSource, SharedClient } from '#pkg/kubernetes/shared-client.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { assertFreeSpace, assertPortsFree, neededPorts } from '#pkg/role/controller-checks.ts'
import { controllerJoin } from '#pkg/role/controller-join.ts'
import { controllerComponents, controllerOptions } from '#pkg/role/controller-graph.ts'
import { type ControllerRoleOptions, runsWorker } from '#pkg/role/controller-options.ts'
import { controllerPeers, workersOfTunnel } from '#pkg/role/tunnel-status.ts'
import { controllerStatus } from '#pkg/role/controller-status.ts'
import { NotRootError, preFlight } from '#pkg/role/worker.ts'
import { replaceOnHangup, type OnHangup } from '#pkg/role/hangup.ts'
import { runUntilStopped } from '#pkg/role/run-until-stopped.ts'
import type { TunnelInfo } from '#pkg/status/types.ts'
import { endAllOrphans } from '#pkg/supervisor/orphan.ts'

/** Collaborators of the role. */
export interface ControllerRoleDeps {
  readonly log: Logger
  /** Its abort (SIGTERM, SIGINT) stops the role in order; `runController` then resolves. */
  readonly signal: AbortSignal
  /** SIGHUP replaces the tunnel server; see `replaceOnHangup`. */
  readonly onHangup: OnHangup
  /** Standard output: takes the graph of --dry-run. */
  readonly print: (text: string) => void
}

/** Longest time a component may take to its first ready probe, milliseconds. */
const READY_TIMEOUT_MS = 5 * 60_000

/**
 * Runs a controller until `signal` aborts or somebody asks the status socket to stop.
 *
 * @throws NotRootError, ConfigError, LockHeldError, PortInUseError, DiskSpaceError, FileError, or what a component failed
 *   with; all is stopped then.
 */
export async function runController(options: ControllerRoleOptions, deps: ControllerRoleDeps): Promise<void> {
  const { log } = deps
  const { vars } = options
  const config = await loadNodeConfig({ configFile: options.configFile, vars, single: options.single })
  for (const problem of config.warnings) log.warn('configuration key without effect', { key: problemText(problem) })
  if (options.single && virtualAddresses(config.spec).length > 0) {
    throw new UsageError(
      '--single cannot be combined with spec.network.controlPlaneLoadBalancing: a virtual address is for several controllers',
    )
  }
  const join = await controllerJoin(options, config, log)
  if (options.initOnly && join !== undefined) {
    throw new UsageError('--init-only makes authorities of its own and cannot be combined with a join token')
  }
  if (options.dryRun) {
    await using node = await createNode(options, config, { log, join })
    deps.print(node.manager.graph())
    return
  }
  if (process.getuid?.() !== 0) throw new NotRootError('k0s controller must run as root; use sudo')
  await ensureDir(vars.runDir, { mode: modes.runDir })
  await using held = new AsyncDisposableStack()
  held.use(await acquireLock(vars.lockFile))
  await ensureDir(vars.dataDir, { mode: modes.dataDir })
  await assertWritable(vars.dataDir)
  await assertFreeSpace(vars.dataDir)
  if (options.initOnly) await initOnly(options, config, log)
  else await runNode(options, config, { ...deps, join })
}

async function initOnly(options: ControllerRoleOptions, config: NodeConfig, log: Logger): Promise<void> {
  await ensurePki(await controllerOptions(options, config), log)
  await writeRuntimeConfig(config)
  log.info('initialized', { dataDir: config.vars.dataDir })
}

/** The graph of this node and the connection of its reconcilers. */
interface ControllerNode extends AsyncDisposable {
  readonly manager: ComponentManager
  readonly components: readonly Component[]
  readonly client: ClientSource
}

/** What a node is made with. */
interface NodeDeps {
  readonly log: Logger
  /** The cluster that this host is still to join. */
  readonly join: JoinDeps | undefined
  /** Called once when this controller is no member of etcd any more. */
  readonly onRemoved?: () => void
}

async function createNode(
  options: ControllerRoleOptions,
  config: NodeConfig,
  { log, join, onRemoved }: NodeDeps,
): Promise<ControllerNode> {
  const { vars } = config
  const client = new SharedClient({ kubeconfig: vars.adminKubeconfig })
  const binaries = createBinaries({ binDir: vars.binDir })
  const images = await imageReferences()
  const components = await controllerComponents(options, config, { log, binaries, client, images, join, onRemoved })
  const manager = new ComponentManager({ components, readyTimeoutMs: READY_TIMEOUT_MS }, { log })
  return { manager, components, client, [Symbol.asyncDispose]: () => client.close() }
}

async function runNode(
  options: ControllerRoleOptions,
  config: NodeConfig,
  deps: ControllerRoleDeps & NodeDeps,
): Promise<void> {
  const { log } = deps
  const { vars } = options
  using ending = untilRemoved(deps.signal)
  const { signal } = ending
  await using node = await createNode(options, config, { ...deps, onRemoved: ending.remove })
  const { manager } = node
  const running = new Set(manager.status().map(({ name }) => name))
  await endAllOrphans(vars.runDir, { log })
  await assertPortsFree(neededPorts(config, (name) => running.has(name)))
  if (runsWorker(options)) await preFlight(options, log)
  await writeRuntimeConfig(config)
  using held = new DisposableStack()
  held.use(replaceOnHangup(node.components, deps))
  await runUntilStopped(
    {
      manager,
      statusSocket: vars.statusSocket,
      status: async () => ({
        ...controllerStatus(options, config, manager),
        ...(await serviceInfo('controller')),
        Tunnel: await tunnelInfo(node, config),
      }),
      readyMessage: 'controller ready',
      nodeName: config.nodeName,
    },
    { log, signal },
  )
  if (signal.reason instanceof EtcdRemovedError) throw signal.reason
}

/** A signal that aborts with `parent`, or when this controller is to be one no more. */
function untilRemoved(parent: AbortSignal): Disposable & { readonly signal: AbortSignal; readonly remove: () => void } {
  const ending = new AbortController()
  const end = (): void => ending.abort(parent.reason)
  parent.addEventListener('abort', end, { once: true })
  if (parent.aborted) end()
  return {
    signal: ending.signal,
    remove: () => ending.abort(new EtcdRemovedError()),
    [Symbol.dispose]: () => parent.removeEventListener('abort', end),
  }
}

/** Both ends of the tunnel that are on this node. */
async function tunnelInfo(
  { components, client }: ControllerNode,
  { spec }: NodeConfig,
): Promise<TunnelInfo | undefined> {
  const served = components.some(({ name }) => name === 'konnectivity-server')
  const agent = components.find(isTunnelAgent)
  if (!served && agent === undefined) return undefined
  return {
    ...(served && (await workersOfTunnel(spec.konnectivity.adminPort, client))),
    ...(agent && { Controllers: controllerPeers(agent.links()) }),
  }
}

/** What the controller runs with, for people and for other commands; it may hold passwords. */
async function writeRuntimeConfig({ spec, vars }: NodeConfig): Promise<void> {
  const config = { apiVersion: 'k0s.k0sproject.io/v1beta1', kind: 'ClusterConfig', metadata: { name: 'k0s' }, spec }
  await writeFileAtomic(vars.runtimeConfig, stringify(config, { aliasDuplicateObjects: false }), {
    mode: modes.secretFile,
  })
}
