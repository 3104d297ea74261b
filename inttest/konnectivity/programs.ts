import { join } from 'node:path'
import { checkout, k0sExecutable } from '#inttest/common/names.ts'

/** The program of ours that is upstream's client and the endpoints (embedded-bins/tunnel-client). */
export const tunnelClient = join(checkout, 'embedded-bins', 'staging', 'test-bin', 'tunnel-client')

/** What plays one end of the tunnel, and whether it is ours. */
export interface TunnelProgram {
  readonly argv: readonly string[]
  readonly ours: boolean
}

/** The tunnel server under test: KONNECTIVITY_SERVER names another one's executable. */
export function serverProgram(): TunnelProgram {
  return program(process.env['KONNECTIVITY_SERVER'], 'konnectivity-server')
}

/** The agent under test: KONNECTIVITY_AGENT names another one's executable. */
export function agentProgram(): TunnelProgram {
  return program(process.env['KONNECTIVITY_AGENT'], 'konnectivity-agent')
}

function program(path: string | undefined, command: string): TunnelProgram {
  return path === undefined || path === ''
    ? { argv: [k0sExecutable, command], ours: true }
    : { argv: [path], ours: false }
}

/** How kube-apiserver can speak to the server: the protocol of its egress selector, and over what. */
export const frontends = ['grpc-uds', 'http-connect-uds', 'http-connect-tls'] as const
export type Frontend = (typeof frontends)[number]

/** Flags of a server, upstream's names. */
export interface ServerFlags {
  readonly frontend: Frontend
  readonly address: string
  readonly pki: string
  /** Tells several servers on one host apart; their ports are 100 apart. Default 0. */
  readonly index?: number
  readonly count?: number
}

/** Where server `index` listens for agents. */
export const agentPort = (index = 0): number => 8132 + 100 * index
/** Where server `index` answers about itself. */
export const adminPort = (index = 0): number => 8133 + 100 * index
/** Where server `index` has its frontend: a unix socket, or a port with TLS. */
export const socketPath = (index = 0): string => `/run/tunnel-${String(index)}.sock`
const frontendPort = (index = 0): number => 8090 + 100 * index

/** The command line of a server. */
export function serverArgs({ frontend, address, pki, index = 0, count = 1 }: ServerFlags): readonly string[] {
  const listen =
    frontend === 'http-connect-tls'
      ? [
          `--server-port=${String(frontendPort(index))}`,
          `--server-ca-cert=${pki}/ca.crt`,
          `--server-cert=${pki}/server.crt`,
          `--server-key=${pki}/server.key`,
        ]
      : ['--server-port=0', `--uds-name=${socketPath(index)}`, '--delete-existing-uds-file']
  return [
    ...listen,
    `--mode=${frontend === 'grpc-uds' ? 'grpc' : 'http-connect'}`,
    `--server-id=server-${String(index)}`,
    `--server-count=${String(count)}`,
    `--agent-port=${String(agentPort(index))}`,
    `--admin-bind-address=${address}`,
    `--admin-port=${String(adminPort(index))}`,
    `--health-port=${String(adminPort(index) + 1)}`,
    `--cluster-ca-cert=${pki}/ca.crt`,
    `--cluster-cert=${pki}/server.crt`,
    `--cluster-key=${pki}/server.key`,
    '--proxy-strategies=destHost,defaultRoute,default',
  ]
}

/** What kube-apiserver is told of that server: the file of --egress-selector-config-file. */
export function egressSelector({ frontend, address, pki, index = 0 }: ServerFlags): object {
  const transport =
    frontend === 'http-connect-tls'
      ? {
          tcp: {
            url: `https://${address}:${String(frontendPort(index))}`,
            tlsConfig: { caBundle: `${pki}/ca.crt`, clientCert: `${pki}/client.crt`, clientKey: `${pki}/client.key` },
          },
        }
      : { uds: { udsName: socketPath(index) } }
  const proxyProtocol = frontend === 'grpc-uds' ? 'GRPC' : 'HTTPConnect'
  return {
    apiVersion: 'apiserver.k8s.io/v1beta1',
    kind: 'EgressSelectorConfiguration',
    egressSelections: [{ name: 'cluster', connection: { proxyProtocol, transport } }],
  }
}

/** What `tunnel-client` is told of that server. */
export function clientArgs({ frontend, address, pki, index = 0 }: ServerFlags): readonly string[] {
  if (frontend !== 'http-connect-tls') {
    return [`--mode=${frontend === 'grpc-uds' ? 'grpc' : 'http-connect'}`, `--uds=${socketPath(index)}`]
  }
  return [
    '--mode=http-connect',
    `--server=${address}:${String(frontendPort(index))}`,
    `--ca=${pki}/ca.crt`,
    `--cert=${pki}/client.crt`,
    `--key=${pki}/client.key`,
  ]
}

/** Flags of an agent, upstream's names. */
export interface AgentFlags {
  readonly id: string
  /** Its host's address. */
  readonly address: string
  readonly server: string
  readonly port?: number
  readonly pki: string
  /** Default: the address of the host. */
  readonly identifiers?: string
}

/** The command line of an agent. */
export function agentArgs(flags: AgentFlags): readonly string[] {
  const { id, address, server, port = agentPort(), pki, identifiers = `ipv4=${address}` } = flags
  return [
    `--proxy-server-host=${server}`,
    `--proxy-server-port=${String(port)}`,
    `--ca-cert=${pki}/ca.crt`,
    `--agent-cert=${pki}/${id}.crt`,
    `--agent-key=${pki}/${id}.key`,
    `--agent-id=${id}`,
    `--agent-identifiers=${identifiers}`,
  ]
}
