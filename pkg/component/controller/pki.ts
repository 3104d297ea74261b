import { join } from 'node:path'
import type { Usage } from '#pkg/certificate/extensions.ts'
import type { CertificateFiles } from '#pkg/certificate/store.ts'
import { storageComponent, type ControllerOptions } from '#pkg/component/controller/context.ts'
import { goDurationMs } from '#pkg/apis/duration.ts'
import { virtualAddresses } from '#pkg/component/controller/virtual-addresses.ts'
import type { UserIds } from '#pkg/file/user.ts'
import { nthAddress, parseCidr } from '#pkg/net/ip.ts'

/** Authorities of a cluster. */
export type AuthorityName = 'ca' | 'frontProxyCa' | 'etcdCa'

/** Certificates that they sign on a controller. */
export type LeafName =
  | 'admin'
  | 'server'
  | 'kubeletClient'
  | 'frontProxyClient'
  | 'controllerManager'
  | 'scheduler'
  | 'konnectivityServer'
  | 'etcdClient'
  | 'etcdServer'
  | 'etcdPeer'
  | 'controlApi'
  | 'controlApiClient'

/** User name with which kube-apiserver calls kubelets; RBAC binds it to system:kubelet-api-admin. */
export const kubeletClientUser = 'kube-apiserver-kubelet-client'

/** User name with which the join API reads tokens; RBAC binds it to no more than that. */
export const controlApiUser = 'k0s:api'

/** Common name of the client certificate of the aggregation layer. */
export const frontProxyClientName = 'front-proxy-client'

/** An authority as it is on disk. */
export interface AuthorityPlan {
  readonly files: CertificateFiles
  readonly commonName: string
  readonly validForMs: number
}

/** A certificate as it is on disk. */
export interface LeafPlan {
  readonly files: CertificateFiles
  readonly signedBy: AuthorityName
  readonly commonName: string
  readonly organizations: readonly string[]
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
  readonly usages: readonly Usage[]
  readonly validForMs: number
}

/** Everything below <data-dir>/pki; the file names are k0s's. */
export interface PkiPlan {
  readonly authorities: Readonly<Record<AuthorityName, AuthorityPlan>>
  readonly leaves: Readonly<Partial<Record<LeafName, LeafPlan>>>
  readonly serviceAccount: { readonly keyPath: string; readonly publicKeyPath: string; readonly owner?: UserIds }
  readonly kubeconfigs: Readonly<Record<'admin' | 'controllerManager' | 'scheduler', string>>
}

/** What a controller keeps in its PKI directory, each key readable by its one user. Pure. */
export function pkiPlan(options: ControllerOptions): PkiPlan {
  const { vars, spec, users } = options
  const inPki = (name: string, owner?: UserIds): CertificateFiles => pair(vars.pkiDir, name, owner)
  const inEtcd = (name: string, owner?: UserIds): CertificateFiles => pair(vars.etcdPkiDir, name, owner)
  const validity = validities(options)
  // kube-controller-manager shares the user of kube-apiserver, as both need the key of service accounts; it signs
  // certificate requests with the cluster's authority.
  const api = users.apiServer
  return {
    authorities: {
      ca: { files: inPki('ca', api), commonName: 'kubernetes-ca', validForMs: validity.ca },
      frontProxyCa: {
        files: inPki('front-proxy-ca'),
        commonName: 'kubernetes-front-proxy-ca',
        validForMs: validity.ca,
      },
      etcdCa: { files: inEtcd('ca'), commonName: 'etcd-ca', validForMs: validity.etcdCa },
    },
    leaves: {
      ...clusterLeaves(options, inPki, validity.leaf),
      ...(options.joinable ? controlApiLeaves(options, inPki, validity.leaf) : {}),
      ...(storageComponent(spec) === 'etcd' ? etcdLeaves(options, inEtcd, inPki, validity.etcdLeaf) : {}),
    },
    serviceAccount: {
      keyPath: join(vars.pkiDir, 'sa.key'),
      publicKeyPath: join(vars.pkiDir, 'sa.pub'),
      ...(api === undefined ? {} : { owner: api }),
    },
    kubeconfigs: {
      admin: vars.adminKubeconfig,
      controllerManager: join(vars.pkiDir, 'ccm.conf'),
      scheduler: join(vars.pkiDir, 'scheduler.conf'),
    },
  }
}

/** Names and addresses under which the API server and the tunnel server of this host are reached. Pure. */
export function servingNames({ spec, nodeName }: Pick<ControllerOptions, 'spec' | 'nodeName'>): {
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
} {
  const { api, network } = spec
  const names = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    `kubernetes.default.svc.${network.clusterDomain}`,
    'localhost',
    nodeName,
    '127.0.0.1',
    '::1',
    api.address,
    nthAddress(parseCidr(network.serviceCIDR), 1),
    ...(api.externalAddress === undefined ? [] : [api.externalAddress]),
    ...(spec.konnectivity.externalAddress === undefined ? [] : [spec.konnectivity.externalAddress]),
    ...virtualAddresses(spec),
    ...api.sans,
  ]
  return splitNames(names)
}

type InFolder = (name: string, owner?: UserIds) => CertificateFiles

function clusterLeaves(
  { spec, nodeName, users }: ControllerOptions,
  inPki: InFolder,
  validForMs: number,
): Readonly<Partial<Record<LeafName, LeafPlan>>> {
  const serving = servingNames({ spec, nodeName })
  const client = (files: CertificateFiles, commonName: string, organizations: readonly string[] = []): LeafPlan => ({
    files,
    signedBy: 'ca',
    commonName,
    organizations,
    ...noNames,
    usages: ['client'],
    validForMs,
  })
  return {
    admin: client(inPki('admin'), 'kubernetes-admin', ['system:masters']),
    server: { ...client(inPki('server', users.apiServer), 'kubernetes'), ...serving, usages: ['server'] },
    konnectivityServer: {
      ...client(inPki('konnectivity-server', users.konnectivity), 'konnectivity-server'),
      ...serving,
      usages: ['server'],
    },
    kubeletClient: client(inPki('apiserver-kubelet-client', users.apiServer), kubeletClientUser),
    frontProxyClient: {
      ...client(inPki('front-proxy-client', users.apiServer), frontProxyClientName),
      signedBy: 'frontProxyCa',
    },
    controllerManager: client(inPki('ccm', users.apiServer), 'system:kube-controller-manager'),
    scheduler: client(inPki('scheduler', users.scheduler), 'system:kube-scheduler'),
  }
}

/** The join API gets them over its standard input: the files are root's. */
function controlApiLeaves(
  { spec, nodeName }: ControllerOptions,
  inPki: InFolder,
  validForMs: number,
): Readonly<Partial<Record<LeafName, LeafPlan>>> {
  const base = { signedBy: 'ca', organizations: [], validForMs } as const
  const serving = servingNames({ spec, nodeName })
  return {
    controlApi: { ...base, files: inPki('k0s-api'), commonName: 'k0s-api', ...serving, usages: ['server'] },
    controlApiClient: {
      ...base,
      files: inPki('k0s-api-client'),
      commonName: controlApiUser,
      ...noNames,
      usages: ['client'],
    },
  }
}

function etcdLeaves(
  { spec, nodeName, users }: ControllerOptions,
  inEtcd: InFolder,
  inPki: InFolder,
  validForMs: number,
): Readonly<Partial<Record<LeafName, LeafPlan>>> {
  const names = splitNames(['localhost', nodeName, '127.0.0.1', '::1', spec.storage.etcd.peerAddress])
  const base = { signedBy: 'etcdCa', organizations: [], validForMs } as const
  // etcd's gRPC gateway and its peers use the serving certificate as a client too.
  const both: readonly Usage[] = ['server', 'client']
  return {
    etcdServer: { ...base, files: inEtcd('server', users.etcd), commonName: 'etcd-server', ...names, usages: both },
    etcdPeer: { ...base, files: inEtcd('peer', users.etcd), commonName: nodeName, ...names, usages: both },
    etcdClient: {
      ...base,
      files: inPki('apiserver-etcd-client', users.apiServer),
      commonName: 'apiserver-etcd-client',
      ...noNames,
      usages: ['client'],
    },
  }
}

const noNames = { dnsNames: [], ips: [] } as const

function splitNames(names: readonly string[]): {
  readonly dnsNames: readonly string[]
  readonly ips: readonly string[]
} {
  const unique = [...new Set(names)]
  const isAddress = (name: string): boolean => /^[0-9.]+$/.test(name) || name.includes(':')
  return { dnsNames: unique.filter((name) => !isAddress(name)), ips: unique.filter(isAddress) }
}

function pair(folder: string, name: string, owner: UserIds | undefined): CertificateFiles {
  return { certPath: join(folder, `${name}.crt`), keyPath: join(folder, `${name}.key`), owner }
}

function validities({ spec }: ControllerOptions): Readonly<Record<'ca' | 'leaf' | 'etcdCa' | 'etcdLeaf', number>> {
  const ms = (text: string): number => goDurationMs(text) ?? 0 // validated with the configuration
  return {
    ca: ms(spec.api.ca.expiresAfter),
    leaf: ms(spec.api.ca.certificatesExpireAfter),
    etcdCa: ms(spec.storage.etcd.ca.expiresAfter),
    etcdLeaf: ms(spec.storage.etcd.ca.certificatesExpireAfter),
  }
}
