import { FlagValueError, type Flag, type FlagTable } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'

/** What `--disable-components` accepts; the names are k0s's. */
export const disableableComponents = [
  'applier-manager',
  'autopilot',
  'control-api',
  'coredns',
  'csr-approver',
  'endpoint-reconciler',
  'helm',
  'konnectivity-server',
  'kube-controller-manager',
  'kube-proxy',
  'kube-scheduler',
  'metrics-server',
  'network-provider',
  'node-role',
  'system-rbac',
  'update-prober',
  'windows-node',
  'worker-config',
] as const

const cloudProvider = 'the built-in cloud provider comes with a later release'

/** Flags of a controller alone; `controller` adds those of a worker for `--enable-worker`. */
export const controllerFlags = {
  'enable-worker': flag.bool('run pods on this host too (tainted, unless --no-taints)'),
  'disable-components': componentList(),
  single: flag.bool('one node that is everything, on SQLite; nothing can join it'),
  'no-taints': flag.bool('with --enable-worker: let any pod run on this host'),
  'enable-k0s-cloud-provider': flag.bool('run the built-in cloud provider', { unavailable: cloudProvider }),
  'k0s-cloud-provider-update-frequency': flag.duration('how often the cloud provider updates node addresses', {
    defaultMs: 120_000,
    unavailable: cloudProvider,
  }),
  'k0s-cloud-provider-port': flag.integer('port of the cloud provider', {
    default: 10_258,
    min: 0,
    max: 65_535,
    unavailable: cloudProvider,
  }),
  'enable-dynamic-config': flag.bool('keep the cluster-wide configuration in the cluster', {
    unavailable: 'edit the configuration file and restart the controller instead',
  }),
  'enable-metrics-scraper': flag.bool('push the metrics of the control plane to the workers', {
    unavailable: 'scrape the loopback endpoints on the controller instead',
  }),
  'kube-controller-manager-extra-args': flag.text('flags added to those of kube-controller-manager'),
  'init-only': flag.bool('write certificates and configuration, then exit'),
  'feature-gates': flag.gates("Kubernetes' feature gates, for every component"),
  'api-server-stop-timeout': flag.duration('how long kube-apiserver may take to stop while its datastore answers', {
    defaultMs: 60_000,
  }),
  'dry-run': flag.bool('print the components that would run and what each one waits for, and start nothing'),
} satisfies FlagTable

function componentList(): Flag<readonly string[]> {
  const names = flag.list('components that are not started', {
    takes: `a comma-separated list of ${disableableComponents.join(', ')}`,
  })
  const known: readonly string[] = disableableComponents
  return {
    ...names,
    parse: (value) => {
      const parsed = names.parse(value)
      const unknown = parsed.find((name) => !known.includes(name))
      if (unknown !== undefined) throw new FlagValueError(`there is no component "${unknown}"`)
      return parsed
    },
  }
}
