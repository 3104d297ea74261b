import { shellWord } from '#pkg/install/quote.ts'
import { reloads, serviceDescription, serviceName, type ServiceSpec } from '#pkg/install/service.ts'

/** Where OpenRC puts what the service prints: it has no journal. */
export function openrcLogs(role: ServiceSpec['role']): { readonly output: string; readonly error: string } {
  return { output: `/var/log/${serviceName(role)}.log`, error: `/var/log/${serviceName(role)}.err` }
}

/** supervise-daemon notes down the process of the role, which its own process id is not. */
const RELOAD = [
  '',
  'extra_started_commands=reload',
  "description_reload='Hand the tunnel over to a new server; no connection is refused'",
  'reload() {',
  '  ebegin "Reloading $RC_SVCNAME"',
  '  kill -HUP "$(service_get_value child_pid)"',
  '  eend $?',
  '}',
] as const

/**
 * The service script; a golden file pins it. supervise-daemon starts the role again when it ends, and ends only the role
 * itself when the service stops: pods outlive a restart.
 */
export function renderOpenrcScript({
  role,
  executable,
  args,
  environmentFile,
  stopTimeoutSeconds,
}: ServiceSpec): string {
  const logs = openrcLogs(role)
  // The words are read by the shell twice: here, and when supervise-daemon's command line is put together.
  const commandArgs = args.map(shellWord).join(' ')
  return [
    '#!/sbin/openrc-run',
    `# Made by "k0s install ${role}": --force writes it anew, "k0s reset" removes it.`,
    '',
    `name=${serviceName(role)}`,
    `description=${shellWord(serviceDescription(role))}`,
    'supervisor=supervise-daemon',
    `command=${shellWord(shellWord(executable))}`,
    `command_args=${shellWord(commandArgs)}`,
    'respawn_delay=10',
    'respawn_max=0',
    `retry=SIGTERM/${stopTimeoutSeconds}/SIGKILL/5`,
    `output_log=${logs.output}`,
    `error_log=${logs.error}`,
    "rc_ulimit='-n 999999 -u unlimited -c unlimited'",
    '',
    'depend() {',
    '  want cgroups net',
    '  use dns',
    '  after firewall',
    '}',
    ...(reloads(role) ? RELOAD : []),
    ...(environmentFile === undefined
      ? []
      : ['', 'start_pre() {', '  set -a', `  . ${shellWord(environmentFile)}`, '  set +a', '}']),
    '',
  ].join('\n')
}
