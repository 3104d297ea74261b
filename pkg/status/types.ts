/** What `GET /status` answers: k0s's names and types (its pkg/component/status), and our `Components`. */
export interface StatusInfo {
  readonly Version: string
  readonly Pid: number
  readonly PPid: number
  /** `controller`, `worker`, or `controller+worker`. */
  readonly Role: string
  /** Init system of the host, `linux-systemd` or `linux-openrc`; empty when it is none of them. */
  readonly SysInit: string
  /** Service file of this role; empty when it is not installed as a service. */
  readonly StubFile: string
  /** Always empty; kept for programs written for k0s. */
  readonly Output: string
  /** Whether pods run on this node. */
  readonly Workloads: boolean
  readonly SingleNode: boolean
  /** Command line of the process. */
  readonly Args: readonly string[]
  readonly WorkerToAPIConnectionStatus: { readonly Message: string; readonly Success: boolean }
  /** Effective configuration; null on workers. Never has secrets in it. */
  readonly ClusterConfig: unknown
  /** Every path of the node. */
  readonly K0sVars: Readonly<Record<string, unknown>>
  /** Not in k0s: where the cluster keeps its objects, `etcd`, `external etcd` or `kine (postgres)`; not on workers. */
  readonly Storage?: string | undefined
  /** Not in k0s: the tunnel as this node sees it. */
  readonly Tunnel?: TunnelInfo | undefined
  /** Not in k0s: the state of every component, in start order. */
  readonly Components: readonly ComponentSummary[]
}

/** The tunnel as one node sees it; a controller that runs pods sees both ends. */
export interface TunnelInfo {
  /** On a controller: the agents of its tunnel server, those included that are lost while their Node is there. */
  readonly Workers?: readonly TunnelPeer[] | undefined
  /** On a worker: the tunnel servers that its agent keeps connections to. */
  readonly Controllers?: readonly TunnelPeer[] | undefined
  /** Why the tunnel server could not be asked. */
  readonly Error?: string | undefined
}

/** The other end of a tunnel. */
export interface TunnelPeer {
  /** Name of the node, or of the controller once it has said it. */
  readonly name: string
  readonly address: string
  /** `connected`, `draining` (no new connections), `lost`, or how the agent tries: `connecting`, `waiting`. */
  readonly state: string
  /** ISO 8601; since it is connected, or lost. */
  readonly since?: string | undefined
  /** Of the last ping. */
  readonly roundTripMs?: number | undefined
  readonly openConnections: number
  /** Payload bytes, by direction as the endpoint (a kubelet, a pod) sees them. */
  readonly bytesToEndpoints: number
  readonly bytesFromEndpoints: number
  /** How often the tunnel was lost since this end started. */
  readonly losses: number
  readonly lastError?: string | undefined
}

/** State of one component. */
export interface ComponentSummary {
  readonly name: string
  /** `waiting`, `starting`, `not-ready`, `ready`, `failed`, `stopping` or `stopped`. */
  readonly state: string
  readonly waitingFor: readonly string[]
  readonly reason?: string | undefined
  /** ISO 8601. */
  readonly since: string
  readonly restarts?: number | undefined
  /** What it warns of although it may serve: a slow disk, say. */
  readonly warnings?: readonly string[] | undefined
}

/** A component as the manager of a role reports it. */
export interface ComponentReport extends ComponentSummary {
  /** When it was last probed, ISO 8601. */
  readonly probedAt?: string | undefined
  /** Oldest first. */
  readonly events: readonly { readonly at: string; readonly state: string; readonly reason?: string | undefined }[]
}

/** What `GET /components?maxCount=N` answers: k0s's shape, by component name, newest last. */
export interface ComponentsInfo {
  readonly healthProbes: Readonly<Record<string, readonly HealthProbe[]>>
  readonly events: Readonly<Record<string, readonly ComponentsEvent[]>>
}

/** A probe's outcome; `error` is null when the component serves. */
export interface HealthProbe {
  readonly component: string
  readonly at: string
  readonly error: string | null
}

/** Something that happened to a component. */
export interface ComponentsEvent {
  readonly at: string
  readonly payload: { readonly state: string; readonly reason?: string | undefined }
}

/** What `POST /stop` answers, with 202: the process has begun to stop. */
export interface StopAnswer {
  readonly pid: number
}

/** The running supervisor, as the status server sees it. */
export interface StatusProvider {
  /** Everything but the components. */
  status(): Omit<StatusInfo, 'Components'> | Promise<Omit<StatusInfo, 'Components'>>
  components(): readonly ComponentReport[]
  /** Asks the supervisor to stop; returns at once. */
  stop(): void
}
