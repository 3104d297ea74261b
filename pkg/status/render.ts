import { stringify } from 'yaml'
import { assertNever } from '#pkg/errors/error.ts'
import { table } from '#pkg/status/table.ts'
import { tunnelText } from '#pkg/status/render-tunnel.ts'
import type { ComponentsInfo, ComponentSummary, StatusInfo } from '#pkg/status/types.ts'
import { describeMissing } from '#pkg/status/wait.ts'

/** Value of `--out`. */
export type StatusFormat = 'text' | 'json' | 'yaml'

/** What `k0s status` prints; the text has k0s's lines, and the components that are not ready. */
export function renderStatus(status: StatusInfo, format: StatusFormat): string {
  return format === 'text' ? statusText(status) : renderData(status, format)
}

/** What `k0s status components` prints; the text is a table of the states, the data is k0s's. */
export function renderComponents(
  { components, info }: { readonly components: readonly ComponentSummary[]; readonly info: ComponentsInfo },
  format: StatusFormat,
): string {
  return format === 'text' ? componentsText(components) : renderData(info, format)
}

function renderData(data: unknown, format: 'json' | 'yaml'): string {
  switch (format) {
    case 'json':
      return `${JSON.stringify(data, undefined, 2)}\n`
    case 'yaml':
      // Readers of YAML 1.1 (Go's among them) would take an unquoted time for a time.
      return stringify(data, { lineWidth: 0, compat: 'yaml-1.1' })
    default:
      return assertNever(format)
  }
}

function statusText(status: StatusInfo): string {
  const { Message, Success } = status.WorkerToAPIConnectionStatus
  const lines = [
    `Version: ${status.Version}`,
    `Process ID: ${status.Pid}`,
    `Role: ${status.Role}`,
    `Workloads: ${status.Workloads}`,
    `SingleNode: ${status.SingleNode}`,
    ...(status.Storage === undefined ? [] : [`Storage: ${status.Storage}`]),
    ...(status.Workloads ? [`Kube-api probing successful: ${Success}`] : []),
    ...(status.Workloads && !Success ? [`Kube-api probing last error: ${Message}`] : []),
    ...(status.SysInit === '' ? [] : [`Init System: ${status.SysInit}`]),
    ...(status.StubFile === '' ? [] : [`Service file: ${status.StubFile}`]),
    `Components: ${describeMissing(status.Components)}`,
    ...status.Components.flatMap(({ name, warnings = [] }) => warnings.map((text) => `Warning: ${name}: ${text}`)),
    ...(status.Tunnel === undefined ? [] : tunnelText(status.Tunnel)),
  ]
  return `${lines.join('\n')}\n`
}

function componentsText(components: readonly ComponentSummary[]): string {
  const rows = components.map(({ name, state, restarts, since, reason, waitingFor, warnings = [] }) => [
    name,
    state,
    restarts === undefined ? '-' : String(restarts),
    since,
    state === 'waiting' && waitingFor.length > 0
      ? `waits for ${waitingFor.join(', ')}`
      : (reason ?? warnings.join('; ')),
  ])
  return table([['COMPONENT', 'STATE', 'RESTARTS', 'SINCE', 'REASON'], ...rows])
}
