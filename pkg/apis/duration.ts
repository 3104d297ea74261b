/** A duration as Go's time.ParseDuration reads it: `8760h`, `1h30m`, `0s`. */
export const goDurationPattern =
  '^[-+]?(0|([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|ms|s|m|h)(([0-9]+([.][0-9]*)?|[.][0-9]+)(ns|us|µs|ms|s|m|h))*)$'

const unitMs: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** Milliseconds of a Go duration, or undefined when it is none. */
export function goDurationMs(text: string): number | undefined {
  if (!new RegExp(goDurationPattern).test(text)) return undefined
  let ms = 0
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ns|us|µs|ms|s|m|h)/g)) {
    ms += Number(amount) * (unitMs[unit ?? ''] ?? 0)
  }
  return text.startsWith('-') ? -ms : ms
}
