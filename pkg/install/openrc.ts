import { join } from 'node:path'
import { readIfExists } from '#pkg/file/atomic.ts'
import { ServiceError } from '#pkg/install/errors.ts'
import type { InitSystem, ServiceState } from '#pkg/install/init-system.ts'
import { openrcLogs, renderOpenrcScript } from '#pkg/install/openrc-script.ts'
import { said } from '#pkg/install/said.ts'
import type { RunProgram } from '#pkg/supervisor/run-program.ts'
import { serviceName, type ServiceRole, type ServiceSpec } from '#pkg/install/service.ts'

/** OpenRC, asked with rc-service(8) and rc-update(8). */
export class OpenRc implements InitSystem {
  readonly id = 'linux-openrc'
  readonly title = 'OpenRC'
  readonly fileMode = 0o755
  readonly companions = []
  readonly #root: string
  readonly #run: RunProgram

  constructor({ root }: { readonly root: string }, { run }: { readonly run: RunProgram }) {
    this.#root = root
    this.#run = run
  }

  servicePath(role: ServiceRole): string {
    return join(this.#root, 'etc/init.d', serviceName(role))
  }

  render(spec: ServiceSpec): string {
    return renderOpenrcScript(spec)
  }

  async enable(role: ServiceRole): Promise<void> {
    await this.#must('rc-update', ['add', serviceName(role), 'default'])
  }

  async disable(role: ServiceRole): Promise<void> {
    const args = ['delete', serviceName(role), 'default']
    const result = await this.#run('rc-update', args)
    if (result.code !== 0 && !/not found|not in the runlevel/.test(`${result.stdout}${result.stderr}`)) {
      throw new ServiceError(`rc-update ${args.join(' ')}: ${said(result)}`)
    }
  }

  /** It looks at the scripts each time. */
  reload(): Promise<void> {
    return Promise.resolve()
  }

  async start(role: ServiceRole): Promise<void> {
    await this.#must('rc-service', [serviceName(role), 'start'])
  }

  async stop(role: ServiceRole, { timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    await this.#must('rc-service', [serviceName(role), 'stop'], timeoutMs)
  }

  async state(role: ServiceRole): Promise<ServiceState> {
    const { code } = await this.#run('rc-service', [serviceName(role), 'status'])
    // What supervise-daemon notes down about its child (rc-service-script's service_set_value).
    const noted = await readIfExists(join(this.#root, 'run/openrc/options', serviceName(role), 'child_pid'))
    const pid = Number(noted ?? '')
    return { ...openrcState(code), pid: pid > 0 ? pid : undefined }
  }

  logCommand(role: ServiceRole): string {
    return `tail ${openrcLogs(role).error}`
  }

  logFiles(role: ServiceRole): readonly string[] {
    const { output, error } = openrcLogs(role)
    return [join(this.#root, output), join(this.#root, error)]
  }

  async #must(program: string, args: readonly string[], timeoutMs?: number): Promise<void> {
    const result = await this.#run(program, args, timeoutMs === undefined ? {} : { timeoutMs })
    if (result.code !== 0) throw new ServiceError(`${[program, ...args].join(' ')}: ${said(result)}`)
  }
}

/** Reads the exit code of `rc-service NAME status` (openrc-run.sh). */
export function openrcState(code: number | undefined): Pick<ServiceState, 'state' | 'detail'> {
  switch (code) {
    case 0:
      return { state: 'running', detail: 'started' }
    case 4:
      return { state: 'running', detail: 'stopping' }
    case 8:
      return { state: 'running', detail: 'starting' }
    case 32:
      return { state: 'stopped', detail: 'crashed' }
    default:
      return { state: 'stopped', detail: 'stopped' }
  }
}
