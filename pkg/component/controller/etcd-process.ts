import { join } from 'node:path'
import type { PkiMaterial, PkiSource } from '#pkg/component/controller/certificates.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { etcdArgs } from '#pkg/component/controller/etcd-args.ts'
import { etcdStart } from '#pkg/component/controller/etcd-peers.ts'
import { goRuntime } from '#pkg/component/controller/go-runtime.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { modes } from '#pkg/constant/files.ts'
import { etcdClientUrl } from '#pkg/etcd/addresses.ts'
import type { EtcdTls } from '#pkg/etcd/peer.ts'
import { ensureOwnedDir } from '#pkg/file/directory.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import type { ProcessSpec } from '#pkg/supervisor/process.ts'

/** How long etcd gets to end: it waits for the requests that are open, and hands on its leadership. */
export const STOP_GRACE_MS = 15_000

/** With what this controller speaks to etcd. */
export function etcdTls({ authorities, leaves }: PkiMaterial): EtcdTls {
  const { certPem = '', keyPem = '' } = leaves.etcdClient ?? {}
  return { caPem: authorities.etcdCa.certPem, certPem, keyPem }
}

/** What the process of a member is made of. */
export type EtcdProcessOptions = Pick<ControllerOptions, 'vars' | 'spec' | 'nodeName' | 'logLevels'> & {
  readonly users: Pick<ControllerOptions['users'], 'etcd'>
}

/** Stages the executable and says how the member of this host is to run, as far as its disk tells. @throws FileError */
export async function etcdProcessSpec(
  options: EtcdProcessOptions,
  { binaries, signal }: Pick<ControllerDeps, 'binaries'> & { readonly signal: AbortSignal },
): Promise<ProcessSpec> {
  const { vars, users } = options
  const [path, start] = await Promise.all([
    binaries.stage('etcd', { signal }),
    etcdStart(vars),
    ensureOwnedDir(vars.etcdDataDir, { mode: modes.etcdDataDir, ...users.etcd }),
  ])
  return {
    name: 'etcd',
    path,
    args: etcdArgs(options, start),
    env: goRuntime.etcd,
    user: users.etcd,
    pidFile: join(vars.runDir, 'etcd.pid'),
    stopGraceMs: STOP_GRACE_MS,
  }
}

/** etcd as a supervised process that serves clients. */
export function etcdProcess(
  options: EtcdProcessOptions,
  deps: ControllerDeps & { readonly pki: PkiSource },
  stopGraceNowMs: () => number,
): ProcessComponent {
  return new ProcessComponent(
    {
      name: 'etcd',
      after: ['certificates'],
      prepare: async ({ signal }) => {
        const spec = await etcdProcessSpec(options, { binaries: deps.binaries, signal })
        return { ...spec, stopGraceNowMs }
      },
      probe: async (signal) => {
        const { caPem: ca, certPem: cert, keyPem: key } = etcdTls(deps.pki.material())
        const body = await probeHttp(`${etcdClientUrl}/health`, { signal, ca, cert, key })
        if (!/"health": *"true"/.test(body)) throw new Error(`etcd says ${body.trim().slice(0, 200)}`)
      },
    },
    deps,
  )
}
