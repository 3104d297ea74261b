/** One line of a metric; `suffix` is that of a histogram's lines. */
export interface Sample {
  readonly suffix?: '_bucket' | '_sum' | '_count'
  readonly labels?: Readonly<Record<string, string>>
  readonly value: number
}

/** All lines of one name. */
export interface Family {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly samples: readonly Sample[]
}

/** Content type of the text format. */
export const EXPOSITION_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Prometheus' text format, version 0.0.4; families without a sample are left out. */
export function renderFamilies(families: readonly Family[]): string {
  const lines: string[] = []
  for (const { name, type, help, samples } of families) {
    if (samples.length === 0) continue
    lines.push(`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`, `# TYPE ${name} ${type}`)
    for (const { suffix = '', labels = {}, value } of samples) {
      lines.push(`${name}${suffix}${renderLabels(labels)} ${renderNumber(value)}`)
    }
  }
  return `${lines.join('\n')}\n`
}

/** A family of one line. */
export function single(type: 'counter' | 'gauge', name: string, help: string, value: number): Family {
  return { name, type, help, samples: [{ value }] }
}

function renderLabels(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(text: string): string {
  return text.replace(/["\\]/g, '\\$&').replace(/\n/g, '\\n')
}

function renderNumber(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
