import { resolve } from 'node:path'
import { FlagValueError, type Flag, type FlagTable, type FlagValues } from '#cmd/flags/flag.ts'
import * as flag from '#cmd/flags/kinds.ts'
import { defaultKubeletRootDir } from '#pkg/config/cfg-vars.ts'
import { UsageError } from '#pkg/errors/usage.ts'

/** Verbosity of each supervised program; k0s's names and levels. `--logging` replaces single ones. */
export const defaultLogging: Readonly<Record<string, string>> = {
  containerd: 'info',
  etcd: 'info',
  'konnectivity-server': '1',
  'kube-apiserver': '1',
  'kube-controller-manager': '1',
  'kube-scheduler': '1',
  kubelet: '1',
}

/** Effects of a taint (core/v1 TaintEffect). */
const taintEffects = ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] as const

/** Flags of everything that may run pods: `worker`, and `controller` for `--enable-worker`. */
export const workerFlags = {
  'kubelet-root-dir': flag.path('directory of the kubelet and of the volumes of pods', {
    default: defaultKubeletRootDir,
  }),
  profile: flag.text('worker profile that configures the kubelet', { default: 'default' }),
  'enable-cloud-provider': flag.bool('start the kubelet for an external cloud provider'),
  'token-file': flag.optionalPath('file that holds the join token'),
  logging: flag.map('verbosity of supervised programs, component=level', {
    short: 'l',
    defaultText: Object.entries(defaultLogging)
      .map((pair) => pair.join('='))
      .join(','),
  }),
  labels: checked(flag.list('labels of the node, key=value'), {
    takes: 'a comma-separated list of key=value',
    pattern: /^[^=]+=/,
  }),
  taints: checked(flag.list('taints of the node, key=value:effect'), {
    takes: `a comma-separated list of key=value:effect or key:effect, where effect is ${taintEffects.join(', ')}`,
    pattern: new RegExp(`^[^=:]+(=[^:]*)?:(${taintEffects.join('|')})$`),
  }),
  'kubelet-extra-args': flag.text('flags added to those of the kubelet, for example "--v=4 --max-pods=50"'),
  'iptables-mode': flag.choice('netfilter back end of the host rules', ['auto', 'nft', 'legacy'], { default: 'auto' }),
  'ignore-pre-flight-checks': flag.bool('start although a check of the host fails'),
  'cri-socket': criSocket(),
  'cidr-range': flag.optionalText('no effect, kept so that old command lines work', { hidden: true }),
} satisfies FlagTable

/** A list whose entries all match. */
function checked(
  list: Flag<readonly string[]>,
  { takes, pattern }: { readonly takes: string; readonly pattern: RegExp },
): Flag<readonly string[]> {
  return {
    ...list,
    takes,
    parse: (value) => {
      const entries = list.parse(value)
      const wrong = entries.find((entry) => !pattern.test(entry))
      if (wrong !== undefined) throw new FlagValueError(`"${wrong}" is none`)
      return entries
    },
  }
}

function criSocket(): Flag<string | undefined> {
  const text = flag.optionalText('container runtime to use instead of the built-in one, remote:unix:///path', {
    takes: 'remote: and the socket of the runtime, remote:unix:///path',
  })
  return {
    ...text,
    parse: (value) => {
      const [, socket] = /^remote:(.+)$/.exec(value) ?? []
      if (socket === undefined) throw new FlagValueError()
      // The kubelet takes a URL only, and has another working directory than whoever installs a service.
      return socket.includes('://') ? value : `remote:unix://${resolve(socket)}`
    },
  }
}

/** What a role takes of these flags, in its own names. */
export function workerOptions(flags: FlagValues<typeof workerFlags>) {
  if (flags['iptables-mode'] === 'legacy') {
    throw new UsageError('--iptables-mode=legacy is not supported: the host rules are nftables (or iptables-nft)')
  }
  return {
    profile: flags.profile,
    labels: flags.labels,
    taints: flags.taints,
    kubeletExtraArgs: flags['kubelet-extra-args'],
    criSocket: flags['cri-socket'],
    cloudProvider: flags['enable-cloud-provider'],
    ignorePreFlightChecks: flags['ignore-pre-flight-checks'],
  }
}
