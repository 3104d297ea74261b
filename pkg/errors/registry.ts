/** One entry of the error reference (docs/reference/errors.md is generated from this table). */
export interface ErrorEntry {
  /** What the error means, one sentence. */
  readonly summary: string
  /** What the user does about it, one sentence. */
  readonly remedy: string
}

/**
 * Every error code of the product, sorted by name. A class deriving from K0sError names one of these; adding a code
 * without an entry does not compile.
 */
export const errorRegistry = {
  ERR_ASSET: {
    summary: 'A file that k0s ships with is missing or cannot be put to use.',
    remedy: 'Build with `make`, or install k0s again: the file that the message names belongs to it.',
  },
  ERR_CERTIFICATE: {
    summary: 'A certificate, key or signing request cannot be used.',
    remedy: 'Put a valid file where the message says, or remove it to have it made again.',
  },
  ERR_COMPONENT_FAILED: {
    summary: 'A component could not be started.',
    remedy: 'Read the reason in the message and the log lines of that component, correct it and start again.',
  },
  ERR_COMPONENT_GRAPH: {
    summary: 'The components of this node depend on each other in a way that can never start.',
    remedy: 'Enable the component that the message names, or report the message: the graph is built in.',
  },
  ERR_COMPONENT_NOT_READY: {
    summary: 'A component was started but did not become ready in time.',
    remedy: 'Read the last reason in the message and the log lines of that component.',
  },
  ERR_COMPONENT_STOP: {
    summary: 'A component did not stop.',
    remedy: 'Look at the processes the message names; `k0s reset` ends what is left.',
  },
  ERR_CONFIG: {
    summary: 'The configuration file is not valid.',
    remedy: 'Correct the keys that the message names; `k0s config validate --config FILE` checks without starting.',
  },
  ERR_CONTAINERD_CONFIG: {
    summary: 'A drop-in or a configuration file of containerd cannot be used.',
    remedy: 'Correct or remove the file that the message names; snippets need configuration version 3.',
  },
  ERR_CONTROLLER_JOIN: {
    summary: 'This host cannot become a controller of the cluster of its token.',
    remedy: 'Do what the message says; `k0s reset` makes a host that has been part of another cluster a new one.',
  },
  ERR_DATASTORE: {
    summary: 'A datastore cannot be read or written, or its address is wrong.',
    remedy: 'Correct what the message names and run the same command again: a migration goes on where it was.',
  },
  ERR_DATASTORE_DIFFERENT: {
    summary: 'The verification of a migrated datastore has found a difference.',
    remedy: 'Empty the target and migrate again; if the difference stays, report the message.',
  },
  ERR_DATASTORE_IN_USE: {
    summary: 'A datastore that must rest is in use by a running server.',
    remedy: 'Stop k0s, kine or etcd on both stores and run the same command again.',
  },
  ERR_DATASTORE_NOT_EMPTY: {
    summary: 'The target of a migration holds a store already.',
    remedy: 'Name an empty target, or move away what is there.',
  },
  ERR_DISK_SPACE: {
    summary: 'The file system of the data directory is full or nearly full.',
    remedy: 'Free some space, or use another --data-dir.',
  },
  ERR_ETCD: {
    summary: 'A member of etcd cannot be reached, or answered with a failure.',
    remedy: 'Look at the log lines of etcd on the controller that the message names.',
  },
  ERR_ETCD_MEMBERSHIP: {
    summary: 'The members of etcd are not to change now.',
    remedy: 'Do what the message says; a controller that joins tries again by itself.',
  },
  ERR_ETCD_REMOVED: {
    summary: 'This controller has been removed from the members of etcd.',
    remedy: 'Make it a new host with `k0s reset`; then it can join again.',
  },
  ERR_FILE: {
    summary: 'A file or directory could not be read or written.',
    remedy: 'Correct what the message names: free space, permissions or the path.',
  },
  ERR_HOST_NETWORK: {
    summary: 'The host lacks something that the pod network or Services need.',
    remedy: 'Install or set what the message names; k0s sysinfo lists all such probes.',
  },
  ERR_IMAGE_IMPORT: {
    summary: 'An image archive cannot be imported into containerd.',
    remedy: 'Replace or remove the archive that the message names.',
  },
  ERR_IP: {
    summary: 'An IP address or CIDR is not valid.',
    remedy: 'Write it as 10.0.0.1, 10.0.0.0/16, fd00::1 or fd00::/64.',
  },
  ERR_IN_CLUSTER: {
    summary:
      'A program that looked for the cluster that it is a pod of does not run in one, or has no service account.',
    remedy: 'Give it a kubeconfig with --kubeconfig, or a service account in its pod.',
  },
  ERR_JOIN_API_LISTEN: {
    summary: 'The join API cannot open its port.',
    remedy: 'Stop the program that holds the port, or set spec.api.k0sApiPort.',
  },
  ERR_JOIN_DELAYED: {
    summary: 'A controller cannot join at this moment.',
    remedy: 'Nothing: it tries again; the reason is in the message and in the log of the controller that was asked.',
  },
  ERR_JOIN_REFUSED: {
    summary: 'A controller cannot join with this token, or not this cluster.',
    remedy: 'Create a token with `k0s token create --role controller` on a controller of the cluster.',
  },
  ERR_KINE: {
    summary: 'The etcd API server over SQL (`k0s kine`) cannot start or go on.',
    remedy: 'Read the message: it names the endpoint, file or address that is at fault.',
  },
  ERR_KINE_LOCKED: {
    summary: 'The database file of `k0s kine` is held by another running process.',
    remedy: 'Stop the other process, or give this one another file in --endpoint.',
  },
  ERR_KUBECONFIG: {
    summary: 'A kubeconfig file is missing or not usable.',
    remedy: 'Create the file anew with `k0s kubeconfig`, or give the path of a valid one.',
  },
  ERR_KUBE_API: {
    summary: 'The API server refused a request.',
    remedy: 'Read the status and reason in the message; check that the object exists and that the user may do this.',
  },
  ERR_KUBE_CONNECTION: {
    summary: 'The API server gave no usable answer.',
    remedy: 'Check with `k0s status` that the controller runs, and that its address and port 6443 are reachable.',
  },
  ERR_LOCK_HELD: {
    summary: 'Another process of k0s already runs on these directories.',
    remedy: 'Stop it with `k0s stop`, or give this one directories of its own with --data-dir.',
  },
  ERR_MANIFEST: {
    summary: 'A manifest file is not valid.',
    remedy: 'Correct the file at the place in the message; nothing is pruned from its stack meanwhile.',
  },
  ERR_NLLB_LISTEN: {
    summary: 'The node-local load balancer cannot open its loopback port.',
    remedy: 'Stop the program that holds the port, or choose another one.',
  },
  ERR_NO_INIT_SYSTEM: {
    summary: 'This host has no init system that k0s can make a service for.',
    remedy: 'Run k0s in the foreground as the message says, from whatever starts programs on this host.',
  },
  ERR_NOT_CONTROLLER: {
    summary: 'The command needs a controller, and this host does not run one that can serve it.',
    remedy: 'Run the command on a controller of the cluster.',
  },
  ERR_NOT_ROOT: {
    summary: 'The command needs root.',
    remedy: 'Run it with sudo or as root.',
  },
  ERR_PATCH: {
    summary: 'A patch of the configuration does not fit the object that it is for.',
    remedy: 'Correct the patch that the message names; the manifest below the data directory shows the object.',
  },
  ERR_PORT_IN_USE: {
    summary: 'A port that k0s has to listen on is taken.',
    remedy: 'Stop the process that the message names, or configure another port.',
  },
  ERR_PRE_FLIGHT: {
    summary: 'The host does not meet the requirements of a worker.',
    remedy: 'Correct what the message lists, or start with --ignore-pre-flight-checks.',
  },
  ERR_PROBE: {
    summary: 'A component answered its health probe with an error, or not at all.',
    remedy: 'Wait if it is still starting; otherwise read the log lines of that component.',
  },
  ERR_PROCESS_CRASH_LOOP: {
    summary: 'A supervised process ended again and again before it became ready.',
    remedy: 'Read its last output in the message; usually an extra argument or a file it needs is wrong.',
  },
  ERR_PROCESS_REPLACE: {
    summary: 'A new process that was to take over from a running one ended first; the running one goes on.',
    remedy: 'Read the message for what the new process said last, and the log of the component.',
  },
  ERR_PROCESS_START: {
    summary: 'A supervised process could not be started.',
    remedy: 'Check that the file the message names exists, is executable and is not on a noexec mount.',
  },
  ERR_PROCESS_STOP: {
    summary: 'A process did not end, not even by SIGKILL.',
    remedy: 'It hangs in the kernel, usually on a dead disk or network mount: repair that, or reboot the host.',
  },
  ERR_PROGRAM_FAILED: {
    summary: 'A program that was run to its end failed.',
    remedy: 'Read its last line of output in the message.',
  },
  ERR_RESET: {
    summary: 'Some traces of k0s could not be removed from the host.',
    remedy: 'Correct what the message names and run k0s reset again.',
  },
  ERR_SERVICE: {
    summary: 'The service of k0s is not as the command needs it, or the init system refused.',
    remedy: "Do what the message says; `k0s status` and the init system's own log tell how the service is.",
  },
  ERR_STATUS_NOT_RUNNING: {
    summary: 'Nothing answers at the status socket.',
    remedy: 'Start k0s, or name its socket with --status-socket.',
  },
  ERR_STATUS_REQUEST: {
    summary: "The status socket answered with an error or with something else than k0s's status.",
    remedy: 'Check that --status-socket names a socket of k0s and that both are of the same version.',
  },
  ERR_STATUS_TIMEOUT: {
    summary: 'The node did not become ready in the time given.',
    remedy: 'Read the reasons in the message; give more time with --timeout.',
  },
  ERR_SYSTEM_USER: {
    summary: 'A system user of the control plane cannot be made or removed.',
    remedy: 'Read what useradd or userdel said in the message; a user made by hand is used as it is.',
  },
  ERR_TOKEN: {
    summary: 'A join token is malformed, of the wrong role, unknown, or cannot be made here.',
    remedy: 'Create a token with `k0s token create --role worker` on a controller, and copy it whole.',
  },
  ERR_TUNNEL_FILE: {
    summary: 'A certificate, key or token that the tunnel was told to use cannot be read.',
    remedy: 'Check the path in the message and who may read it.',
  },
  ERR_TUNNEL_LISTEN: {
    summary: 'The tunnel server or agent cannot open one of its listeners.',
    remedy: 'Free the address that the message names, or choose another one.',
  },
  ERR_USAGE: {
    summary: 'The command line is not valid.',
    remedy: 'Run the command with --help to see its flags and examples.',
  },
  ERR_VIRTUAL_ADDRESS: {
    summary: 'A virtual address of the controllers cannot be put on this host.',
    remedy: 'Name an interface of the host, or its MAC address, in the configuration.',
  },
  ERR_WORKER_CONFIG: {
    summary: 'The worker configuration that the controllers offer cannot be read.',
    remedy: 'Use an existing worker profile and controllers of the same version.',
  },
  ERR_WORKER_JOIN: {
    summary: 'This node cannot join the cluster.',
    remedy: 'Create a new worker token on a controller and check the address in it.',
  },
} as const satisfies Readonly<Record<`ERR_${string}`, ErrorEntry>>

/** Name of an entry of the error reference. */
export type ErrorCode = keyof typeof errorRegistry
