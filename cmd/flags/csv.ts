/**
 * The fields of one line of comma-separated values, quotes as in RFC 4180: what pflag does with the value of a list
 * flag, so that `--labels '"a=1,2",b=3'` has two entries. Undefined if a quote is misplaced.
 */
export function splitCsv(line: string): readonly string[] | undefined {
  if (line === '') return []
  const fields: string[] = []
  const field = /(?:"((?:[^"]|"")*)"|([^",]*))(,|$)/y
  for (;;) {
    const match = field.exec(line)
    if (match === null) return undefined
    fields.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '')
    if (match[3] === '') return fields
  }
}
