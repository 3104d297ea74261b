import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { Component } from '#pkg/component/component.ts'
import type { ControllerDeps, ControllerOptions } from '#pkg/component/controller/context.ts'
import { renderKeepalivedConfig } from '#pkg/component/controller/keepalived-config.ts'
import { balancesVirtualAddresses, interfaceOf } from '#pkg/component/controller/virtual-addresses.ts'
import { ProcessComponent } from '#pkg/component/process-component.ts'
import { modes } from '#pkg/constant/files.ts'
import { writeFileAtomic } from '#pkg/file/atomic.ts'

/**
 * Moves the virtual addresses between the controllers by VRRP. It bids for them only once what is behind them serves, and gives
 * them up when this process is gone, however it ended.
 */
export function keepalived(options: ControllerOptions, deps: ControllerDeps): Component {
  const { vars, spec } = options
  return new ProcessComponent(
    {
      name: 'keepalived',
      after: ['kube-apiserver', ...(balancesVirtualAddresses(spec) ? ['control-plane-balancer'] : [])],
      prepare: async ({ signal }) => {
        const configFile = join(vars.runDir, 'keepalived.conf')
        const [path, test] = await Promise.all([deps.binaries.stage('keepalived', { signal }), testProgram()])
        const instances = (spec.network.controlPlaneLoadBalancing.keepalived?.vrrpInstances ?? []).map((instance) => ({
          ...instance,
          interface: interfaceOf(instance, { ownAddress: spec.api.address }),
        }))
        // The balancer lives in this process; a supervisor that was killed leaves keepalived behind until the next start.
        const checkCommand = `${test} -d /proc/${process.pid}`
        await writeFileAtomic(configFile, renderKeepalivedConfig({ instances, checkCommand }), {
          mode: modes.secretFile,
        })
        return {
          name: 'keepalived',
          path,
          args: keepalivedArgs(vars.runDir, configFile),
          pidFile: join(vars.runDir, 'keepalived.pid'),
          stopGraceMs: 10_000,
        }
      },
      probe: () => Promise.resolve(), // which controller has the addresses is no condition of this one
    },
    deps,
  )
}

/** Command line of keepalived(8). Pure. */
function keepalivedArgs(runDir: string, configFile: string): readonly string[] {
  return [
    '--dont-fork',
    '--log-console',
    '--no-syslog',
    `--use-file=${configFile}`,
    // Two more of its own, beside that of the supervisor.
    `--pid=${join(runDir, 'keepalived-parent.pid')}`,
    `--vrrp_pid=${join(runDir, 'keepalived-vrrp.pid')}`,
  ]
}

/** test(1): keepalived wants the whole path of what it runs. */
async function testProgram(): Promise<string> {
  const usual = '/usr/bin/test'
  return access(usual).then(
    () => usual,
    () => '/bin/test',
  )
}
