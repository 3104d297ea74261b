import { join } from 'node:path'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { etcdClientUrl, peerUrlAt } from '#pkg/etcd/addresses.ts'
import { type Flags, mergeExtraArgs } from '#pkg/supervisor/args.ts'

/** How this member starts. */
export interface EtcdStart {
  /** `name=URL` of all members when this host joins them; absent for the first one. Counts until etcd has a log. */
  readonly initialCluster?: readonly string[] | undefined
  /** Nobody else votes, as far as is known. */
  readonly alone: boolean
}

/**
 * A member that is alone still waits a random part of its election timeout before it leads, at every start: on average
 * 0.5 s of the second that is etcd's default. With nobody to agree with, short times cost nothing; with other members
 * etcd's defaults (100 and 1000 ms) are right, as they allow for the network.
 */
const singleMemberTiming = { 'heartbeat-interval': '20', 'election-timeout': '100' } as const

/** Where the other members reach this one. */
export function etcdPeerUrl({ spec }: Pick<ControllerOptions, 'spec'>): string {
  return peerUrlAt(spec.storage.etcd.peerAddress)
}

/** Command line of etcd. Pure: a golden file pins it. */
export function etcdArgs(
  options: Pick<ControllerOptions, 'vars' | 'spec' | 'nodeName' | 'logLevels'>,
  { initialCluster, alone }: EtcdStart,
): string[] {
  const { vars, spec, nodeName, logLevels } = options
  const { extraArgs, rawArgs } = spec.storage.etcd
  const pki = (name: string): string => join(vars.etcdPkiDir, name)
  const peerUrl = etcdPeerUrl(options)
  const flags: Flags = {
    name: nodeName,
    'data-dir': vars.etcdDataDir,
    'listen-client-urls': etcdClientUrl,
    'advertise-client-urls': etcdClientUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    // Counts at the first start only; later the data directory says who is a member.
    'initial-cluster': initialCluster?.join(',') ?? `${nodeName}=${peerUrl}`,
    'initial-cluster-state': initialCluster === undefined ? 'new' : 'existing',
    'trusted-ca-file': pki('ca.crt'),
    'cert-file': pki('server.crt'),
    'key-file': pki('server.key'),
    'client-cert-auth': 'true',
    'peer-trusted-ca-file': pki('ca.crt'),
    'peer-cert-file': pki('peer.crt'),
    'peer-key-file': pki('peer.key'),
    'peer-client-cert-auth': 'true',
    'tls-min-version': 'TLS1.2',
    'cipher-suites': tlsFlags['tls-cipher-suites'],
    'log-level': logLevels['etcd'] ?? 'info',
    ...(alone ? singleMemberTiming : {}),
    // kube-apiserver's watch caches follow the store by these notifications; etcd's default is 10 minutes.
    'watch-progress-notify-interval': '5s',
  }
  return mergeExtraArgs(flags, extraArgs, rawArgs)
}
