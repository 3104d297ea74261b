import { join } from 'node:path'
import { ServiceError } from '#pkg/install/errors.ts'
import type { CompanionFile, InitSystem, ServiceState } from '#pkg/install/init-system.ts'
import { said } from '#pkg/install/said.ts'
import type { RunProgram } from '#pkg/supervisor/run-program.ts'
import { serviceName, type ServiceRole, type ServiceSpec } from '#pkg/install/service.ts'
import { renderPodScopeSettings, renderSystemdUnit } from '#pkg/install/systemd-unit.ts'

/** systemd, asked with systemctl(1). */
export class Systemd implements InitSystem {
  readonly id = 'linux-systemd'
  readonly title = 'systemd'
  readonly fileMode = 0o644
  readonly companions: readonly CompanionFile[]
  readonly #root: string
  readonly #run: RunProgram

  constructor({ root }: { readonly root: string }, { run }: { readonly run: RunProgram }) {
    this.#root = root
    this.companions = [
      { path: join(root, 'etc/systemd/system/cri-containerd-.scope.d/50-k0s.conf'), text: renderPodScopeSettings() },
    ]
    this.#run = run
  }

  servicePath(role: ServiceRole): string {
    return join(this.#root, 'etc/systemd/system', unit(role))
  }

  render(spec: ServiceSpec): string {
    return renderSystemdUnit(spec)
  }

  async enable(role: ServiceRole): Promise<void> {
    await this.reload()
    await this.#systemctl(['enable', unit(role)])
  }

  async disable(role: ServiceRole): Promise<void> {
    const result = await this.#run('systemctl', ['disable', unit(role)])
    if (result.code !== 0 && !/not exist|not loaded|No such file/.test(result.stderr)) {
      throw new ServiceError(`systemctl disable ${unit(role)}: ${said(result)}`)
    }
  }

  async reload(): Promise<void> {
    await this.#systemctl(['daemon-reload'])
  }

  async start(role: ServiceRole): Promise<void> {
    await this.#run('systemctl', ['reset-failed', unit(role)]) // fails where nothing has failed
    await this.#systemctl(['start', unit(role)])
  }

  async stop(role: ServiceRole, { timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    await this.#systemctl(['stop', unit(role)], timeoutMs)
  }

  async state(role: ServiceRole): Promise<ServiceState> {
    const properties = ['ActiveState', 'SubState', 'MainPID']
    const result = await this.#run('systemctl', ['show', `--property=${properties.join(',')}`, unit(role)])
    if (result.code !== 0) throw new ServiceError(`systemctl show ${unit(role)}: ${said(result)}`)
    return systemdState(result.stdout)
  }

  logCommand(role: ServiceRole): string {
    return `journalctl -u ${serviceName(role)}`
  }

  logFiles(): readonly string[] {
    return []
  }

  async #systemctl(args: readonly string[], timeoutMs?: number): Promise<void> {
    const result = await this.#run('systemctl', args, timeoutMs === undefined ? {} : { timeoutMs })
    if (result.code !== 0) throw new ServiceError(`systemctl ${args.join(' ')}: ${said(result)}`)
  }
}

/** Reads `systemctl show` (systemctl(1); the states are in org.freedesktop.systemd1(5)). */
export function systemdState(text: string): ServiceState {
  const value = (name: string): string => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1] ?? ''
  const [active, sub, pid] = [value('ActiveState'), value('SubState'), Number(value('MainPID'))]
  const restarting = active === 'activating' && sub === 'auto-restart'
  const stopped = active === 'inactive' || active === 'failed'
  return {
    state: restarting ? 'failing' : stopped ? 'stopped' : 'running',
    pid: pid > 0 ? pid : undefined,
    detail: `${active} (${sub})`,
  }
}

function unit(role: ServiceRole): string {
  return `${serviceName(role)}.service`
}
