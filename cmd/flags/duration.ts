const unitMs = { ns: 1e-6, us: 1e-3, µs: 1e-3, μs: 1e-3, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const

/** Milliseconds of a duration in Go's syntax (`1h30m`, `250ms`, `0`), or undefined if it is none. */
export function parseDurationMs(text: string): number | undefined {
  const [, sign = '', body = ''] = /^([+-]?)(.*)$/.exec(text) ?? []
  if (body === '0') return 0
  const part = /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy
  let totalMs = 0
  let end = 0
  for (const match of body.matchAll(part)) {
    totalMs += Number(match[1]) * unitMs[match[2] as keyof typeof unitMs]
    end = match.index + match[0].length
  }
  if (body === '' || end !== body.length || !Number.isFinite(totalMs)) return undefined
  return sign === '-' ? -totalMs : totalMs
}

/** A duration as a person writes it: `0s`, `250ms`, `2m`, `1h30m`. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms < 1_000) return ms === 0 ? '0s' : `${ms}ms`
  const hours = Math.floor(ms / unitMs.h)
  const minutes = Math.floor((ms % unitMs.h) / unitMs.m)
  const seconds = (ms % unitMs.m) / unitMs.s
  return [hours > 0 ? `${hours}h` : '', minutes > 0 ? `${minutes}m` : '', seconds > 0 ? `${seconds}s` : ''].join('')
}
