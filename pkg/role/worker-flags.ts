import { UsageError } from '#pkg/errors/usage.ts'
import { flagValue } from '#pkg/supervisor/args.ts'

/** `key=value` texts as a record. @throws UsageError */
export function parseLabels(labels: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    labels.map((label) => {
      const [, key, value = ''] = /^([^=]+)=(.*)$/.exec(label) ?? []
      if (key === undefined) throw new UsageError(`--labels: "${label}" is not of the form key=value`)
      return [key, value]
    }),
  )
}

/**
 * Splits the text that `flag` was given at spaces, with single and double quotes and backslashes as a shell has them.
 *
 * @throws UsageError
 */
export function splitWords(text: string, flag = '--kubelet-extra-args'): readonly string[] {
  const words: string[] = []
  const word = /\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)\s*/gy
  for (let end = 0; end < text.trimEnd().length; end = word.lastIndex) {
    const match = word.exec(text)
    if (match?.[1] === undefined) throw new UsageError(`${flag}: unbalanced quotes in ${text}`)
    words.push(unquote(match[1]))
  }
  return words
}

/** Name that --hostname-override among the kubelet's flags gives the node. */
export function kubeletHostName(args: readonly string[]): string | undefined {
  return flagValue(args, 'hostname-override')
}

function unquote(word: string): string {
  return word.replace(
    /\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/g,
    (_, escaped: string | undefined, double: string | undefined, single: string | undefined) =>
      escaped ?? double?.replace(/\\(.)/g, '$1') ?? single ?? '',
  )
}
