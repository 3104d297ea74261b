import type { Binaries } from '#pkg/assets/binaries.ts'
import { readManifest } from '#pkg/assets/manifests.ts'
import { goDurationMs } from '#pkg/apis/duration.ts'
import { ApplierManager } from '#pkg/applier/applier-manager.ts'
import type { Component } from '#pkg/component/component.ts'
import { Controllers } from '#pkg/component/cluster/controllers.ts'
import { coreDns } from '#pkg/component/cluster/coredns.ts'
import { metricsServer } from '#pkg/component/cluster/metrics-server.ts'
import { NetworkProvider } from '#pkg/component/cluster/network-provider.ts'
import { retiredStacks } from '#pkg/component/cluster/retired-stacks.ts'
import { componentStacks, type StackOwner } from '#pkg/component/cluster/stack-files.ts'
import { systemRbac } from '#pkg/component/cluster/system-rbac.ts'
import { clusterDns, profileNames, renderWorkerConfig } from '#pkg/component/cluster/worker-config-render.ts'
import { Certificates } from '#pkg/component/controller/certificates.ts'
import { storageComponent, type ControllerOptions } from '#pkg/component/controller/context.ts'
import { kubeControllerManager } from '#pkg/component/controller/controller-manager.ts'
import { controlApi } from '#pkg/component/controller/control-api.ts'
import { ControlPlaneBalancer } from '#pkg/component/controller/control-plane-balancer.ts'
import { Etcd, type EtcdDeps } from '#pkg/component/controller/etcd.ts'
import { HostWatch } from '#pkg/component/controller/host-watch.ts'
import { join, JOIN, type JoinDeps } from '#pkg/component/controller/join.ts'
import { keepalived } from '#pkg/component/controller/keepalived.ts'
import { kine, kineDataSource } from '#pkg/component/controller/kine.ts'
import { konnectivityServer } from '#pkg/component/controller/konnectivity-server.ts'
import { TunnelEvents } from '#pkg/component/controller/tunnel-events.ts'
import { NodeRole } from '#pkg/component/controller/node-role.ts'
import { controlApiUser, kubeletClientUser, pkiPlan } from '#pkg/component/controller/pki.ts'
import { kubeScheduler } from '#pkg/component/controller/scheduler.ts'
import { balancesVirtualAddresses, virtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import type { NodeConfig } from '#pkg/config/load.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import type { Logger } from '#pkg/log/logger.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import { controlApiConfig } from '#pkg/role/control-api-config.ts'
import { etcdMembership } from '#pkg/role/controller-etcd.ts'
import { apiServer } from '#pkg/role/controller-api-server.ts'
import { imageReference } from '#pkg/role/controller-images.ts'
import { leaderComponents } from '#pkg/role/controller-leader.ts'
import { type ControllerRoleOptions, runsWorker } from '#pkg/role/controller-options.ts'
import { componentUsers, missingUsers } from '#pkg/role/controller-users.ts'
import { localWorker, workerNodeName } from '#pkg/role/controller-worker.ts'
import { splitWords } from '#pkg/role/worker-flags.ts'
import { supervise } from '#pkg/supervisor/process.ts'
import { runOnce } from '#pkg/supervisor/run-once.ts'

/** What the graph is made with. */
export interface GraphDeps {
  readonly log: Logger
  readonly binaries: Binaries
  readonly client: ClientSource
  /** References of the shipped images, by name. */
  readonly images: Readonly<Record<string, string>>
  /** The cluster that this host is still to join. */
  readonly join?: JoinDeps | undefined
  /** Called once when this controller is no member of etcd any more. */
  readonly onRemoved?: (() => void) | undefined
}

/** Options of the control plane's components, from flags and configuration. */
export async function controllerOptions(
  options: ControllerRoleOptions,
  config: NodeConfig,
): Promise<ControllerOptions> {
  return {
    vars: config.vars,
    spec: config.spec,
    nodeName: config.nodeName,
    users: await componentUsers(config.spec),
    single: options.single,
    logLevels: options.logLevels,
    featureGates: options.featureGates,
    controllerManagerExtraArgs: splitWords(
      options.kubeControllerManagerExtraArgs,
      '--kube-controller-manager-extra-args',
    ),
    apiServerStopTimeoutMs: options.apiServerStopTimeoutMs,
    tunnel: !options.disableComponents.includes('konnectivity-server'),
    joinable: isJoinable(options, config),
  }
}

/** Whether other controllers can work on what this one keeps its objects in. Pure. */
export function isJoinable(
  { single, disableComponents }: Pick<ControllerRoleOptions, 'single' | 'disableComponents'>,
  { spec }: Pick<NodeConfig, 'spec'>,
): boolean {
  if (single || disableComponents.includes('control-api')) return false
  return spec.storage.type !== 'kine' || /^(postgres|postgresql|mysql):/.test(kineDataSource(spec) ?? '')
}

/**
 * The graph of a controller as data: this list, and the `after` of each component, is all there is to know about order.
 *
 *   join ─► certificates ─► etcd ─┬─► kube-apiserver ─► kube-controller-manager, kube-scheduler, control-api,
 *                 │        kine ──┘                     csr-approver, system-rbac, worker-config-publisher, …
 *                 └──────► konnectivity-server
 */
export async function controllerComponents(
  options: ControllerRoleOptions,
  config: NodeConfig,
  deps: GraphDeps,
): Promise<readonly Component[]> {
  const own = await controllerOptions(options, config)
  const missing = missingUsers(config.spec, own.users, own)
  if (missing.length > 0) {
    deps.log.info('system users not found, their components run as root', { users: missing.join(',') })
  }
  const joining = deps.join === undefined ? [] : [join(own, deps.join)]
  const certificates = new Certificates(own, { after: joining.map(() => JOIN) })
  const processDeps = { binaries: deps.binaries, supervise, pki: certificates }
  const store = storage(own, { ...processDeps, onRemoved: deps.onRemoved ?? (() => undefined) })
  const controllers = new Controllers({ client: deps.client })
  const ownNode = runsWorker(options) ? workerNodeName(options, config) : undefined
  const components: readonly Component[] = [
    ...joining,
    new HostWatch(config.vars.dataDir),
    certificates,
    ...(store === undefined ? [] : [store]),
    apiServer(own, { ...processDeps, store, controllers }),
    ...(own.joinable
      ? [controlApi(own, { ...processDeps, config: () => controlApiConfig(own, certificates.material()) })]
      : []),
    konnectivityServer(own, processDeps),
    kubeControllerManager(own, processDeps),
    kubeScheduler(own, processDeps),
    ...virtualAddressComponents(own, { ...deps, certificates }),
    ...leaderComponents(own, {
      client: deps.client,
      ownNode,
      workerConfig: workerConfigFacts(own, deps.images),
      etcd: etcdMembership(own, certificates),
      controllers,
    }),
    ...clusterComponents(own, deps),
    ...(own.tunnel
      ? [new TunnelEvents({ nodeName: own.nodeName, adminPort: own.spec.konnectivity.adminPort }, deps)]
      : []),
    ...(ownNode !== undefined
      ? [new NodeRole({ nodeName: ownNode }, deps), ...(await workerOf(options, config, { ...deps, certificates }))]
      : []),
  ]
  const enabled = components.filter(({ name }) => !options.disableComponents.includes(name))
  const owners = (Object.keys(componentStacks) as StackOwner[]).filter(
    (owner) => !enabled.some(({ name }) => name === owner),
  )
  return [...enabled, retiredStacks({ manifestsDir: own.vars.manifestsDir, owners }, deps)]
}

function storage(own: ControllerOptions, deps: EtcdDeps): Component | undefined {
  switch (storageComponent(own.spec)) {
    case 'etcd':
      return new Etcd(own, deps)
    case 'kine':
      return kine(own, deps)
    case undefined:
      return undefined
  }
}

/** What gives the controllers addresses that outlive each of them. */
function virtualAddressComponents(
  own: ControllerOptions,
  { binaries, client, certificates: pki }: GraphDeps & { readonly certificates: Certificates },
): readonly Component[] {
  if (virtualAddresses(own.spec).length === 0) return []
  return [
    ...(balancesVirtualAddresses(own.spec) ? [new ControlPlaneBalancer(own, { client, pki, runOnce })] : []),
    keepalived(own, { binaries, supervise }),
  ]
}

/** What keeps objects in the cluster as the configuration says. */
function clusterComponents(own: ControllerOptions, { client, images }: GraphDeps): readonly Component[] {
  const { spec, vars } = own
  const { network } = spec
  const { manifestsDir } = vars
  const imagePullPolicy = spec.images.default_pull_policy
  const ca = pkiPlan(own).authorities.ca.files
  const profiles = profileNames(spec)
  const dual = network.dualStack.enabled && network.dualStack.IPv6podCIDR !== undefined
  return [
    new ApplierManager({ manifestsDir, nodeName: own.nodeName }, { client }),
    systemRbac({ profiles, kubeletClientUser, controlApiUser }, { client }),
    coreDns(
      {
        manifestsDir,
        image: imageReference(spec, 'coredns', images),
        imagePullPolicy,
        clusterDNS: clusterDns(spec),
        clusterDomain: network.clusterDomain,
        dualStackEnabled: network.dualStack.enabled,
        patches: { path: 'spec.network.coreDNS.patches', patches: network.coreDNS.patches },
      },
      { client },
    ),
    metricsServer(
      {
        manifestsDir,
        image: imageReference(spec, 'metricsserver', images),
        imagePullPolicy,
        caCertFile: ca.certPath,
        caKeyFile: ca.keyPath,
        certificateValidForMs: goDurationMs(spec.api.ca.certificatesExpireAfter) ?? 0,
        patches: { path: 'spec.metricsServer.patches', patches: spec.metricsServer.patches },
      },
      { client },
    ),
    ...(network.provider === 'flannel'
      ? [
          new NetworkProvider(
            { manifestsDir, podCIDRs: [network.podCIDR, ...(dual ? [network.dualStack.IPv6podCIDR ?? ''] : [])] },
            { readManifest },
          ),
        ]
      : []),
  ]
}

function workerConfigFacts(
  { spec }: Pick<ControllerOptions, 'spec'>,
  images: GraphDeps['images'],
): { readonly apiServerAddresses: readonly string[]; readonly pauseImage: string } {
  return {
    apiServerAddresses: [joinHostPort(spec.api.address, spec.api.port)],
    pauseImage: imageReference(spec, 'pause', images),
  }
}

async function workerOf(
  options: ControllerRoleOptions,
  config: NodeConfig,
  { log, images, certificates }: GraphDeps & { readonly certificates: Certificates },
): Promise<readonly Component[]> {
  const workerConfig = (): ReturnType<typeof renderWorkerConfig> =>
    renderWorkerConfig(config.spec, workerConfigFacts(config, images), options.profile)
  return localWorker(options, config, { log, pki: certificates, workerConfig })
}
