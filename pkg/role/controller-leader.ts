import { ControllerLease, type ControllerFacts } from '#pkg/component/cluster/controller-lease.ts'
import type { Controllers } from '#pkg/component/cluster/controllers.ts'
import { CsrApprover } from '#pkg/component/cluster/csr-approver.ts'
import { etcdMembers } from '#pkg/component/cluster/etcd-members.ts'
import { clusterLeader } from '#pkg/component/cluster/leader.ts'
import { removeLeftControllers } from '#pkg/component/cluster/left-controllers.ts'
import type { WorkerConfigFacts } from '#pkg/component/cluster/worker-config-render.ts'
import { publishWorkerConfig, workerConfigPublished } from '#pkg/component/cluster/worker-config.ts'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { servingNames } from '#pkg/component/controller/pki.ts'
import type { ClientSource } from '#pkg/kubernetes/shared-client.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import type { EtcdMembership } from '#pkg/role/controller-etcd.ts'

/** What the parts that know of several controllers are made with. */
export interface LeaderDeps {
  readonly client: ClientSource
  /** Name of the Node of this host, where it runs pods too. */
  readonly ownNode: string | undefined
  readonly workerConfig: WorkerConfigFacts
  readonly etcd: EtcdMembership | undefined
  readonly controllers: Controllers
}

/**
 * How controllers know of each other, and what one of them does for all.
 *
 *   controller-lease ─┬─► cluster-leader ─► worker-config-publisher
 *   controllers ──────┘
 *        └─► csr-approver
 */
export function leaderComponents(own: ControllerOptions, deps: LeaderDeps): readonly Component[] {
  const { client, ownNode, workerConfig, etcd, controllers } = deps
  const { spec, nodeName } = own
  const facts: ControllerFacts = {
    name: nodeName,
    apiServer: joinHostPort(spec.api.address, spec.api.port),
    ...servingNames(own),
    node: ownNode,
  }
  const lease = new ControllerLease(facts, { client })
  const memberNames = etcd && (async (signal: AbortSignal) => (await etcd.members(signal)).map(({ name }) => name))
  const tasks = [
    publishWorkerConfig({ spec, ...workerConfig }, { client, controllers }),
    removeLeftControllers({ client, controllers, memberNames }),
    ...(etcd === undefined ? [] : [etcdMembers({ client, ...etcd })]),
  ]
  const reserved = () =>
    [facts, ...controllers.all()].map(({ dnsNames, ips, node }) => ({ dnsNames, ips, ownNode: node }))
  return [
    lease,
    controllers,
    clusterLeader({ identity: nodeName, tasks, after: [lease.name, controllers.name] }, { client }),
    workerConfigPublished({ client }),
    new CsrApprover({ reserved }, { client }),
  ]
}
