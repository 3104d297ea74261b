import { access } from 'node:fs/promises'
import { readCapabilities } from '#pkg/sysinfo/capabilities.ts'
import { cgroupDriver } from '#pkg/sysinfo/cgroup.ts'
import { kernelFeatures, kernelFeatureState, readKernel } from '#pkg/sysinfo/kernel.ts'
import { chooseNetfilter, findProgram, readNetfilter } from '#pkg/sysinfo/netfilter.ts'
import { processPath } from '#pkg/component/worker/process-env.ts'
import type { HostFacts } from '#pkg/component/worker/worker-context.ts'

/** systemd-resolved's list of real servers; its /etc/resolv.conf names a loopback stub that pods cannot reach. */
const RESOLVED_CONF = '/run/systemd/resolve/resolv.conf'

/** Looks at the host: cgroups, capabilities, kernel features, programs. Once, before the graph starts. */
export async function readHostFacts(binDir: string): Promise<HostFacts> {
  const path = processPath(binDir)
  const [capabilities, driver, kernel, netfilter, policyPrograms, resolved] = await Promise.all([
    readCapabilities(),
    cgroupDriver(),
    readKernel(),
    readNetfilter(path),
    Promise.all(
      ['iptables-save', 'iptables-restore', 'ipset'].map(async (name) => ({
        name,
        file: await findProgram(name, path),
      })),
    ),
    access(RESOLVED_CONF).then(
      () => true,
      () => false,
    ),
  ])
  return {
    cgroupDriver: driver,
    snapshotter: kernelFeatureState(kernelFeatures.overlayfs, kernel) === 'missing' ? 'native' : 'overlayfs',
    hasSysResource: capabilities.has('CAP_SYS_RESOURCE'),
    netfilter: (wanted) => chooseNetfilter(netfilter, wanted),
    modulesToLoad: Object.values(kernelFeatures)
      .filter((feature) => kernelFeatureState(feature, kernel) === 'module')
      .map(({ module }) => module),
    missingPolicyPrograms: policyPrograms.filter(({ file }) => file === undefined).map(({ name }) => name),
    resolvConf: resolved ? RESOLVED_CONF : '/etc/resolv.conf',
  }
}
