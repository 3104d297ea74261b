import { featureGates } from '#pkg/component/cluster/worker-config-render.ts'
import type { ControllerOptions } from '#pkg/component/controller/context.ts'
import type { Flags } from '#pkg/supervisor/args.ts'

/** Flags that every program of Kubernetes takes: verbosity and feature gates. Pure. */
export function commonFlags(
  { spec, logLevels, featureGates: forAll }: Pick<ControllerOptions, 'spec' | 'logLevels' | 'featureGates'>,
  program: 'kube-apiserver' | 'kube-controller-manager' | 'kube-scheduler',
): Flags {
  const gates = Object.entries({ ...featureGates(spec, program), ...forAll })
  return {
    v: logLevels[program] ?? '1',
    profiling: 'false',
    ...(gates.length === 0
      ? {}
      : { 'feature-gates': gates.map(([name, enabled]) => `${name}=${String(enabled)}`).join(',') }),
  }
}
