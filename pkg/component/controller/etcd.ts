import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { goRuntime } from '#pkg/component/controller/go-runtime.ts'
import { tlsFlags } from '#pkg/component/controller/tls.ts'
import { ProcessComponent } from '#pkg/component/worker/process-component.ts'
import { modes } from '#pkg/constant/files.ts'
import { ports } from '#pkg/constant/ports.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { joinHostPort } from '#pkg/net/ip.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { type Flags, mergeExtraArgs } from '#pkg/supervisor/args.ts'

/** The store. Clients come over loopback with a certificate, members over `peerAddress`. */
export function etcd(options: ControllerOptions, deps: ControllerDeps & { readonly pki: PkiSource }): Component {
  const { vars, users } = options
  return new ProcessComponent(
    {
      name: 'etcd',
      after: ['certificates'],
      prepare: async ({ signal }) => {
        const [path] = await Promise.all([
          deps.binaries.stage('etcd', { signal }),
          ensureDir(vars.etcdDataDir, { mode: modes.etcdDataDir, ...users.etcd }),
        ])
        return {
          name: 'etcd',
          path,
          args: etcdArgs(options),
          env: goRuntime.etcd,
          user: users.etcd,
          pidFile: join(vars.runDir, 'etcd.pid'),
          stopGraceMs: 15_000,
        }
      },
      probe: async (signal) => {
        const { authorities, leaves } = deps.pki.material()
        const { certPem: cert, keyPem: key } = leaves.etcdClient ?? {}
        const ca = authorities.etcdCa.certPem
        const body = await probeHttp(`https://127.0.0.1:${ports.etcdClient}/health`, { signal, ca, cert, key })
        if (!/"health": *"true"/.test(body)) throw new Error(`etcd says ${body.trim().slice(0, 200)}`)
      },
    },
    deps,
  )
}

/**
 * A member that is alone still waits a random part of its election timeout before it leads, at every start: on average
 * 0.5 s of the second that is etcd's default. With nobody to agree with, short times cost nothing; with other members
 * etcd's defaults (100 and 1000 ms) are right, as they allow for the network.
 */
const singleMemberTiming = { 'heartbeat-interval': '20', 'election-timeout': '100' } as const

/** Command line of etcd. Pure: a golden file pins it. */
export function etcdArgs(options: ControllerOptions): string[] {
  const { vars, spec, nodeName, logLevels } = options
  const { peerAddress, extraArgs, rawArgs } = spec.storage.etcd
  const pki = (name: string): string => join(vars.etcdPkiDir, name)
  const clientUrl = `https://127.0.0.1:${ports.etcdClient}`
  const peerUrl = `https://${joinHostPort(peerAddress, ports.etcdPeer)}`
  const flags: Flags = {
    name: nodeName,
    'data-dir': vars.etcdDataDir,
    'listen-client-urls': clientUrl,
    'advertise-client-urls': clientUrl,
    'listen-peer-urls': peerUrl,
    'initial-advertise-peer-urls': peerUrl,
    // Counts at the first start only; later the data directory says who is a member.
    'initial-cluster': `${nodeName}=${peerUrl}`,
    'initial-cluster-state': 'new',
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
    ...singleMemberTiming,
    // kube-apiserver's watch caches follow the store by these notifications; etcd's default is 10 minutes.
    'watch-progress-notify-interval': '5s',
  }
  return mergeExtraArgs(flags, extraArgs, rawArgs)
}
