/** Level of our log at which a line of a component appears. */
export type LineLevel = 'debug' | 'info' | 'warn' | 'error'

/** klog, the format of the Kubernetes programs: `E1121 14:13:32.123456    1234 file.go:123] message`. */
const klog = /^([IWEF])\d{4} \d\d:\d\d:\d\d/
/** logrus (`level=warning`, containerd) and zap (`"level":"warn"`, etcd). */
const named = /\blevel"?[=:]"?(debug|info|warn|error|fatal|panic|dpanic)/
/** Programs that say it in plain words. */
const plain = /^(error|fatal|panic)\b/i

const levels: Readonly<Record<string, LineLevel>> = {
  I: 'info',
  W: 'warn',
  E: 'error',
  F: 'error',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
  dpanic: 'error',
}

/** Level of a line, from the formats the components write; `info` when it names none. */
export function lineLevel(line: string): LineLevel {
  const head = line.slice(0, 200)
  const name = klog.exec(head)?.[1] ?? named.exec(head)?.[1]
  if (name !== undefined) return levels[name] ?? 'info'
  return plain.test(head) ? 'error' : 'info'
}

/** What repeats of one message have in common: numbers, times and hexadecimal identifiers are taken out. */
export function lineKey(line: string): string {
  return line.slice(0, 400).replace(/\b[0-9a-f]{8,}\b|\d+/g, '#')
}

/** The line of a program's last output that says most about its end: the last that reports an error, else the last. */
export function mostTelling(lines: readonly string[]): string | undefined {
  const full = lines.map((line) => line.trim()).filter(Boolean)
  const line = full.findLast((candidate) => lineLevel(candidate) === 'error') ?? full.at(-1)
  return line === undefined ? undefined : inWords(line).slice(0, 500)
}

/** What a line of zap says: its message and error, without the caller and the stack. */
function inWords(line: string): string {
  const field = (name: string): string | undefined => {
    // Not JSON.parse: the line may be cut.
    const text = new RegExp(`"${name}":("(?:[^"\\\\]|\\\\.)*")`).exec(line)?.[1]
    return text === undefined ? undefined : (JSON.parse(text) as string)
  }
  if (!line.startsWith('{"level":')) return line
  const words = [field('msg'), field('error')].filter((text) => text !== undefined)
  return words.length === 0 ? line : words.join(': ')
}
