import { dirname, join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { ports } from '#pkg/constant/ports.ts'
import { ensureDir } from '#pkg/file/directory.ts'
import { probeHttp } from '#pkg/net/probe.ts'
import { toArgs } from '#pkg/supervisor/args.ts'

/** The component, with what restarts it without an interruption. */
export interface TunnelServerComponent extends Component {
  readonly name: typeof TUNNEL_SERVER
  /**
   * Starts the program anew, which takes over from the one that runs (docs/adr/0009); resolves when that one is gone. No effect
   * before start. @throws ProcessStartError, ProcessReplaceError: the old one goes on.
   */
  replace(): Promise<void>
}

const TUNNEL_SERVER = 'konnectivity-server'

/** Finds the tunnel server among the components of a node. */
export function isTunnelServer(component: Component): component is TunnelServerComponent {
  return component.name === TUNNEL_SERVER
}

/**
 * The tunnel server: `k0s konnectivity-server` as a child of its own, so that a busy supervisor never stalls a tunnel. Ready
 * means that it listens; agents come later.
 */
export function konnectivityServer(options: ControllerOptions, deps: ControllerDeps): TunnelServerComponent {
  const { vars, users } = options
  return new ProcessComponent<typeof TUNNEL_SERVER>(
    {
      name: TUNNEL_SERVER,
      after: ['certificates'],
      prepare: async () => {
        const [{ path, args }] = await Promise.all([
          deps.binaries.self(TUNNEL_SERVER, konnectivityServerArgs(options)),
          ensureDir(dirname(vars.konnectivitySocket), { mode: 0o755, ...users.konnectivity }),
        ])
        return {
          name: TUNNEL_SERVER,
          path,
          args,
          // The group of kube-apiserver: the socket then belongs to it, and kube-apiserver may connect.
          user: users.konnectivity && { ...users.konnectivity, ...(users.apiServer && { gid: users.apiServer.gid }) },
          pidFile: join(vars.runDir, 'konnectivity-server.pid'),
          stopGraceMs: 10_000,
        }
      },
      probe: async (signal) => {
        await probeHttp(`http://127.0.0.1:${ports.konnectivityHealth}/healthz`, { signal })
      },
    },
    deps,
  )
}

/** Flags of `k0s konnectivity-server`; the names are those of the upstream program. Pure: a golden file pins them. */
export function konnectivityServerArgs({ vars, spec, nodeName }: ControllerOptions): string[] {
  const { agentPort, adminPort } = spec.konnectivity
  return toArgs({
    mode: 'http-connect',
    'uds-name': vars.konnectivitySocket,
    'agent-port': String(agentPort),
    'admin-port': String(adminPort),
    'health-port': String(ports.konnectivityHealth),
    'cluster-cert': join(vars.pkiDir, 'konnectivity-server.crt'),
    'cluster-key': join(vars.pkiDir, 'konnectivity-server.key'),
    'cluster-ca-cert': join(vars.pkiDir, 'ca.crt'),
    'server-id': nodeName,
    ...(spec.api.onlyBindToAddress ? { 'agent-bind-address': spec.api.address } : {}),
  })
}
