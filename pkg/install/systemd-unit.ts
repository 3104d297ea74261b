import { systemdWord } from '#pkg/install/quote.ts'
import { reloads, serviceDescription, type ServiceSpec } from '#pkg/install/service.ts'

/**
 * The unit file; a golden file pins it. The settings are k0s's: only the main process is ended when the service stops
 * (KillMode), and the groups below it are its own (Delegate), so pods outlive a restart.
 */
export function renderSystemdUnit({
  role,
  executable,
  args,
  environmentFile,
  stopTimeoutSeconds,
}: ServiceSpec): string {
  const path = executable.replaceAll('%', '%%')
  return [
    `# Made by "k0s install ${role}": --force writes it anew, "k0s reset" removes it.`,
    '[Unit]',
    `Description=${serviceDescription(role)}`,
    `ConditionFileIsExecutable=${path}`,
    'Wants=network-online.target',
    'After=network-online.target',
    'StartLimitIntervalSec=5',
    'StartLimitBurst=10',
    '',
    '[Service]',
    `ExecStart=${[executable, ...args].map(systemdWord).join(' ')}`,
    ...(environmentFile === undefined ? [] : [`EnvironmentFile=${environmentFile}`]),
    ...(reloads(role) ? ['ExecReload=/bin/kill -HUP $MAINPID'] : []),
    'Restart=always',
    'RestartSec=10',
    'TimeoutStartSec=0',
    `TimeoutStopSec=${stopTimeoutSeconds}`,
    'Delegate=yes',
    'KillMode=process',
    'TasksMax=infinity',
    'LimitCORE=infinity',
    'LimitNOFILE=999999',
    '',
    '[Install]',
    'WantedBy=multi-user.target',
    '',
  ].join('\n')
}

/** How long containers may take when the host shuts down, seconds: the default grace period of a pod. */
const CONTAINER_STOP_SECONDS = 30

/**
 * Settings of the scopes that containers run in where systemd manages the groups. A container whose main process does not look at
 * SIGTERM, as that of a plain shell, would otherwise hold up every reboot for systemd's 90 s.
 */
export function renderPodScopeSettings(): string {
  return [
    '# Made by "k0s install"; "k0s reset" removes it.',
    '[Scope]',
    `TimeoutStopSec=${CONTAINER_STOP_SECONDS}`,
    '',
  ].join('\n')
}
